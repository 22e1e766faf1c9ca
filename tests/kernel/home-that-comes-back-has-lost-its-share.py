#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that is the home of pages leaves the region and joins it again, or loses its power and comes back. It has
nothing of what it had, and no host sees zeros in its place: accesses to those pages fail on all of them, also on
those that never used one, until somebody discards the page. All others go on. So it is where all homes lose what
they had; and what is created under the name of a region that is still in use elsewhere is another one."""

from cluster import Cluster, expect, lab, main

FIRST, OTHER, PAGES = 88, 96, 16  # the first of node 0's share, and of node 1's
SHARE = "share /dev/gvm/ram {id} 3 "


def lost(node, page):
    said = node.run(SHARE + "get %d" % page, status=None)
    expect("Bus error" in said, "node %d reads page %d, which is lost: %s", node.id, page, said)


def ends_lease(node, before):
    lab.wait_for("node %d's lease of the former home to end" % node.id, lambda: node.counter("lease_expiries") > before)


def test(l):
    # What a host has is what it accessed.
    cluster = Cluster(l, 3, parameters="lease_ms=7000 ahead_pages=0", roles="bbc")
    zero, one, two = cluster.nodes
    cluster.join("ram", 1024)
    zero.run(SHARE + "fill %d %d 1" % (FIRST, PAGES))
    before = zero.counter("lease_expiries")
    one.run("gvm dsm leave ram")
    one.run("gvm dsm join ram")
    for node in two, one:
        lost(node, OTHER)
    ends_lease(zero, before)  # it has written the page
    lost(zero, OTHER)
    two.run(SHARE + "check %d 1 1" % FIRST)
    said = one.run("gvm dsm status; dmesg")
    expect("are lost until they are discarded" in said, "node 1 does not say what it has lost:\n%s", said)
    pages = one.run("gvm dsm lost ram").splitlines()
    expect(pages == ["%d 131072" % (page * 4096) for page in range(32, 256, 64)], "node 1 lists %s", pages)
    said = two.run("gvm dsm lost ram 2>&1", status=1)
    expect("lends no memory" in said, "node 2 lists: %s", said)
    zero.run("sleep 1")  # what it was told holds for a moment
    two.run("gvm dsm discard ram %d 4k" % (OTHER * 4096))
    for where, reason in (("0 4097", "must cover whole pages"), ("1M 4k", "must cover whole pages"), ("x 4k", "OFFSET: not a size")):
        said = two.run("gvm dsm discard ram %s 2>&1" % where, status=None)
        expect(reason in said, "a discard of %s says: %s", where, said)
    for node, sum in ((zero, 5), (one, 10), (two, 15)):
        found = int(node.run(SHARE + "add %d 5" % OTHER).splitlines()[0])
        expect(found == sum, "node %d counts %d, not %d", node.id, found, sum)

    before = two.counter("lease_expiries")
    one.kill()
    one.start()
    one.connect()
    one.boot()
    cluster.load(one)
    ends_lease(two, before)  # it was the last to write the page
    for node in two, zero:
        lost(node, OTHER)  # again
        lost(node, OTHER + 2)
    two.run(SHARE + "check %d 1 1" % FIRST)
    one.run("gvm dsm status ram")

    before = two.counter("lease_expiries")
    for node in zero, one:
        node.run("gvm dsm down --force")
        cluster.up(node, cluster.roles, cluster.key)
    ends_lease(two, before)
    for page in FIRST, OTHER:
        lost(two, page)
    said = one.run("gvm dsm create ram 4M 2>&1", status=1)
    expect("exists already" in said, "it is created again: %s", said)

    for node in zero, one:
        node.run("gvm dsm leave ram")
    two.run("dmesg -c > /dev/null")
    one.run("gvm dsm create ram 1M")
    said = two.run(SHARE + "get 1 & until dmesg | grep 'created anew'; do sleep 0.1; done; sleep 1; kill -9 $!; wait")
    expect("right" not in said, "a page of the former region is read:\n%s", said)
    said = two.run("gvm dsm join ram 2>&1", status=1)
    expect("another one of that name" in said, "the former is joined: %s", said)
    two.run("gvm dsm down --force")
    cluster.up(two, cluster.roles, cluster.key)
    two.run("gvm dsm join ram")
    two.run(SHARE + "add 1 7")
    found = one.run("gvm dsm join ram; " + SHARE + "get 1; " + SHARE + "get %d" % FIRST).split()[::4]
    expect(found == ["7", "0"], "the new one has %s", found)
    cluster.close()


main(test)
