#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that has many pages mapped, in many places, is cut off: to none of them does it write after its
lease, when others may have them."""

import re

from cluster import Cluster, expect, lab, main

PAGES = 512
MAPPINGS = 4000  # the more, the longer it takes to unmap a page
LEASE_S = 3
STILL_S_MAX = LEASE_S / 12  # a third of the part that is kept for the unmapping
SECONDS = 200  # until a host was cut off that did not stand still then
STATS = "/sys/kernel/debug/giantvm/ram/stats"


def uptime(node):
    return float(node.second.run("cut -d' ' -f1 /proc/uptime"))


def wrote_for(l, cluster):
    """For how many seconds it wrote after the last renewal of its lease. None: it had no lease any more when it
    was cut off, or stood still itself, as a host may on a busy machine, and no module helps against that."""
    one, before = cluster.nodes[1], cluster.nodes[1].counter("lease_expiries")
    one.run("share /dev/gvm/ram {id} 2 discard 0 %d" % PAGES)
    one.begin("(share /dev/gvm/ram {id} 2 last %d %d; echo over) > /tmp/said 2>&1" % (PAGES, MAPPINGS))
    one.second.until("grep -E 'has all|over' /tmp/said")
    cluster.network("cut 1")
    cut = uptime(one)  # the last renewal was sent before this
    late = one.counter("lease_expiries") > before
    lab.wait_for("the end of its lease", lambda: one.counter("lease_expiries") > before, SECONDS)
    one.second.run("sleep %d" % LEASE_S)  # in which it is not to write
    l.log("%s", one.second.run("grep -E 'swe|resident|revoked' %s; dmesg | grep giantvm | tail -n 4"
                               % STATS))
    cluster.network("heal 1")
    one.answer()
    said = one.run("cat /tmp/said")
    l.log("cut off at %.2f at the latest: %s", cut, said.strip())
    wrote = re.search(r"wrote until ([\d.]+), stood still for ([\d.]+)", said)
    if late or not wrote or float(wrote.group(2)) > STILL_S_MAX:
        return None
    return float(wrote.group(1)) - cut


def test(l):
    cluster = Cluster(l, 2, cpus=2, roles="mc",
                      parameters="lease_ms=%d hold_us=0" % (1000 * LEASE_S))
    cluster.join("ram", PAGES * 4)
    wrote = lab.wait_for("a host that does not stand still", lambda: wrote_for(l, cluster), SECONDS)
    expect(wrote < LEASE_S, "it wrote until %.2f s after the last renewal of its lease of %d s", wrote, LEASE_S)
    cluster.close()


main(test)
