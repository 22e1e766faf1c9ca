#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host stands still while it writes a page, longer than its lease. The others go on without it; when
it goes on, its program finds the page as they have it, and never writes what it had."""

import re
import time

from cluster import Cluster, expect, main

STALE_MS_MAX = 1000  # until its first work has run: emulated, on a shared machine


def test(l):
    cluster = Cluster(l, 3, parameters="lease_ms=2000", roles="bbc")
    cluster.join("ram", 1024)
    zero, one, two = cluster.nodes
    share = "share /dev/gvm/ram {id} 3 "
    two.begin(share + "beat 70 14")
    time.sleep(2)
    two.stop()
    time.sleep(4)
    said = zero.run(share + "get 70", seconds=30, status=None)
    expect("right" not in said, "a lost page is read: %s", said)
    zero.run(share + "discard 70 1")
    one.run(share + "mark 70 1")
    two.go()
    said = two.answer(40)
    l.log("%s", said.strip())
    count, resets, stale = map(int, re.search(r"count (\d+) resets (\d+) stale_ms (\d+)",
                                              said).groups())
    expect(resets == 1, "the count went back %d times", resets)
    expect(stale < STALE_MS_MAX, "the host went on for %d ms with what it had lost", stale)
    for node in cluster.nodes:
        seen = int(node.run(share + "get 70").splitlines()[0])
        expect(seen == count, "node %d sees %d, not %d", node.id, seen, count)
    # A network that is cut off and heals is the same to both sides.
    cluster.network("cut 2")
    time.sleep(4)
    cluster.network("heal 2")
    cluster.everywhere(share + "count 30", seconds=90)
    cluster.close()


main(test)
