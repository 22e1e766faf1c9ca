#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host dies. What others have copies of goes on; what only it had is an error, never zeros; and the
others work on."""

from cluster import Cluster, expect, main

BUS_ERROR = 128 + 7


def test(l):
    # What a host has is what it accessed.
    cluster = Cluster(l, 3, parameters="lease_ms=7000 ahead_pages=0", roles="bbc")
    cluster.join("ram", 1024)
    zero, one, two = cluster.nodes
    share = "share /dev/gvm/ram {id} 3 "
    zero.run(share + "fill 64 16 1")
    two.run(share + "check 64 16 1")
    two.run(share + "fill 84 16 2")
    one.run(share + "check 84 8 2")
    two.kill()
    zero.run(share + "check 64 16 1")
    zero.run(share + "check 84 8 2")
    for page in (92, 99):
        for node in zero, one:
            said = node.run(share + "get %d" % page, status=None)
            expect("right" not in said, "node %d reads a lost page: %s", node.id, said)
    zero.run(share + "get 94", status=BUS_ERROR)
    # Each home lists those of its share, though nobody asked for most of them.
    for node in zero, one:
        found = node.run("gvm dsm lost ram").split()
        expect(found == [str((92 + 4 * node.id) * 4096), "16384"], "node %d lists %s", node.id, found)
    # The user gives it up: it is a page like any other again.
    zero.run("gvm dsm lost ram | while read range; do gvm dsm discard ram $range || exit 1; done")
    expect(not zero.run("gvm dsm lost ram"), "what was discarded is still listed")
    one.run(share + "discard 97 1")
    found = one.run("gvm dsm lost ram").split()[::2]
    expect(found == [str(page * 4096) for page in (96, 98)], "node 1 still lists %s", found)
    one.run("gvm dsm discard ram %d 24k" % (94 * 4096))
    one.run(share + "add 98 5")
    expect(zero.run(share + "get 98").splitlines()[0] == "5", "a discarded page is not zero")
    cluster.everywhere("share /dev/gvm/ram {id} 2 count 50", nodes=[zero, one])
    lost = [int(node.run("sed -n 's/^lost_pages //p' /sys/kernel/debug/giantvm/ram/stats"))
            for node in (zero, one)]
    expect(sum(lost) >= 3, "%s pages are said to be lost", lost)
    l.log("lost pages told by the homes: %s", lost)
    cluster.close(nodes=[zero, one])


main(test)
