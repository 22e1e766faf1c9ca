# SPDX-License-Identifier: GPL-2.0-or-later
"""What `gvm metrics` tells of the module, on a host."""

import json
import re
import subprocess

from cluster import expect  # first: it says where the others are
import dashboard


def are_metrics(host, name_of_region):
    """Of its one region Prometheus is told the same as gvm dsm status tells, in a text to which promtool has no
    objection, and all that the dashboard asks for."""
    said, labels = host.run("gvm metrics --dsm"), "{region=\"%s\"}" % name_of_region
    done = subprocess.run(["promtool", "check", "metrics"], input=said, text=True, capture_output=True)
    expect(done.returncode == 0 and not done.stdout + done.stderr, "promtool: %s%s", done.stdout, done.stderr)
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in said.splitlines() if not line.startswith("#")}
    region, = json.loads(host.run("gvm dsm status --json"))["regions"]
    for name, value in region.items():
        name = {"here_bytes": "resident_bytes", "remote_wait_ns": "remote_wait_seconds"}.get(name, name)
        kinds = ["gvm_dsm_region_%s%s%s" % (name, end, labels) for end in ("", "_total")]
        if name != "name":
            told = [found[kind] for kind in kinds if kind in found]
            expect(len(told) == 1 and abs(told[0] - value / (1e9 if "seconds" in name else 1)) < 1e-6, "%s: %s, and status says %s",
                   name, told, value)
    expect(found["gvm_dsm_region_messages_sent_total" + labels] > 0, "nothing of debugfs")
    expect([value for name, value in found.items() if name.startswith("gvm_dsm_node_up{")] == [1, 1], "nodes: %s", found)
    lacking = {name for name in dashboard.names() if name.startswith("gvm_dsm_")} - set(re.findall(r"^\w+", said, re.M))
    expect(not lacking, "the dashboard asks for what nobody exports: %s", lacking)
