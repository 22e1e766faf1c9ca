#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts increment the same words, and none of it is lost. What a host was the first to read and nobody else
has, it writes without waiting for the other. Prometheus is told what the module counts."""

import json
import re
import subprocess

from cluster import Cluster, expect, main
import dashboard

PAGE = 101  # of node 1's share


def waits(node):
    return int(node.run("sed -n 's/^remote_faults //p' /sys/kernel/debug/giantvm/ram/stats"))


def are_metrics(host):
    """Prometheus is told the same as gvm dsm status tells, in a text to which promtool has no objection, and all that the
    dashboard asks for."""
    said = host.run("gvm metrics --dsm")
    done = subprocess.run(["promtool", "check", "metrics"], input=said, text=True, capture_output=True)
    expect(done.returncode == 0 and not done.stdout + done.stderr, "promtool: %s%s", done.stdout, done.stderr)
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in said.splitlines() if not line.startswith("#")}
    region, = json.loads(host.run("gvm dsm status --json"))["regions"]
    for name, value in region.items():
        name = {"here_bytes": "resident_bytes", "remote_wait_ns": "remote_wait_seconds"}.get(name, name)
        kinds = ["gvm_dsm_region_%s%s{region=\"ram\"}" % (name, end) for end in ("", "_total")]
        if name != "name":
            told = [found[kind] for kind in kinds if kind in found]
            expect(len(told) == 1 and abs(told[0] - value / (1e9 if "seconds" in name else 1)) < 1e-6, "%s: %s, and status says %s",
                   name, told, value)
    expect(found["gvm_dsm_region_messages_sent_total{region=\"ram\"}"] > 0, "nothing of debugfs")
    expect([value for name, value in found.items() if name.startswith("gvm_dsm_node_up{")] == [1, 1], "nodes: %s", found)
    lacking = {name for name in dashboard.names() if name.startswith("gvm_dsm_")} - set(re.findall(r"^\w+", said, re.M))
    expect(not lacking, "the dashboard asks for what nobody exports: %s", lacking)


def test(l):
    cluster = Cluster(l, 2)
    cluster.join("ram", 1024)
    zero, one = cluster.nodes
    share = "share /dev/gvm/ram {id} 2 "
    before = waits(zero)
    zero.run(share + "get %d" % PAGE)
    read = waits(zero)
    zero.run(share + "add %d 5" % PAGE)
    written = waits(zero)
    l.log("waits: %d, after a read %d, after a write %d", before, read, written)
    expect(before < read == written, "a host waited to write what only it had read")
    expect(one.run(share + "get %d" % PAGE).splitlines()[0] == "5", "the other host does not see it")
    cluster.everywhere(share + "count 200")
    l.log("%s", cluster.nodes[0].run("cat /sys/kernel/debug/giantvm/ram/*"))
    are_metrics(zero)
    cluster.close()


main(test)
