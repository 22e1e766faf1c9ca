#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host stands still while it writes a page, longer than its lease. The others go on without it; when
it goes on, its program finds the page as they have it, and never writes what it had."""

import re

from cluster import Cluster, expect, lab, main

STALE_MS_MAX = 1000  # of its own time, until its first work has run
LEASE_MS = 7000
SECONDS = 60  # until its lease is over, however slow the host


def test(l):
    cluster = Cluster(l, 3, parameters="lease_ms=%d" % LEASE_MS, roles="bbc")
    cluster.join("ram", 1024)
    zero, one, two = cluster.nodes
    share = "share /dev/gvm/ram {id} 3 "
    two.begin(share + "beat 70 /tmp/end > /tmp/beat; cat /tmp/beat")
    two.second.until("grep begun /tmp/beat")
    before = zero.counter("lost_nodes")
    two.stop()
    lab.wait_for("the end of its lease", lambda: zero.counter("lost_nodes") > before, SECONDS)
    said = zero.run(share + "get 70", seconds=30, status=None)
    expect("right" not in said, "a lost page is read: %s", said)
    zero.run(share + "discard 70 1")
    one.run(share + "mark 70 1")
    two.go()
    two.second.until("grep reset /tmp/beat")
    two.second.run("touch /tmp/end")
    said = two.answer()
    l.log("%s", said.strip())
    count, resets, stale = map(int, re.search(r"count (\d+) resets (\d+) stale_ms (\d+)",
                                              said).groups())
    expect(resets == 1, "the count went back %d times", resets)
    expect(stale < STALE_MS_MAX, "the host went on for %d ms with what it had lost", stale)
    for node in cluster.nodes:
        seen = int(node.run(share + "get 70").splitlines()[0])
        expect(seen == count, "node %d sees %d, not %d", node.id, seen, count)
    # A network that is cut off and heals is the same to both sides.
    lost, ended = zero.counter("lost_nodes"), two.counter("lease_expiries")
    cluster.network("cut 2")
    lab.wait_for("the end of its lease", lambda: zero.counter("lost_nodes") > lost and
                 two.counter("lease_expiries") > ended, SECONDS)
    cluster.network("heal 2")
    cluster.everywhere(share + "count 30", seconds=90)
    cluster.close()


main(test)
