#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that has many pages mapped, in many places, is cut off: to none of them does it write after its
lease, when others may have them."""

import re

from cluster import Cluster, expect, main

PAGES = 512
MAPPINGS = 4000  # the more, the longer it takes to unmap a page
LEASE_S = 3
STATS = "/sys/kernel/debug/giantvm/ram/stats"


def uptime(node):
    return float(node.second.run("cut -d' ' -f1 /proc/uptime"))


def test(l):
    cluster = Cluster(l, 2, cpus=2, roles="mc",
                      parameters="lease_ms=%d hold_us=0" % (1000 * LEASE_S))
    cluster.join("ram", PAGES * 4)
    zero, one = cluster.nodes
    one.begin("share /dev/gvm/ram {id} 2 last %d %d > /tmp/said" % (PAGES, MAPPINGS))
    one.second.run("until grep -q 'has all' /tmp/said; do sleep 0.2; done", seconds=120)
    cluster.network("cut 1")
    cut = uptime(one)  # the last renewal was sent before this
    one.second.run("until grep -q '^lease_expiries [1-9]' %s; do sleep 0.2; done; sleep 3" % STATS)
    l.log("%s", one.second.run("grep -E 'swe|resident|revoked' %s; dmesg | grep giantvm | tail -n 4"
                               % STATS))
    cluster.network("heal 1")
    one.answer(60)
    said = one.run("cat /tmp/said")
    until = float(re.search(r"wrote until ([\d.]+)", said).group(1))
    l.log("cut off at %.2f at the latest, wrote until %.2f: %s", cut, until, said.strip())
    expect(until < cut + LEASE_S, "it wrote until %.2f s after the last renewal of its lease of %d s",
           until - cut, LEASE_S)
    cluster.close()


main(test)
