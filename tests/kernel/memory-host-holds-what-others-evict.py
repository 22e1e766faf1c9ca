#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that may keep less than half of a region fills and checks all of it: the rest is on hosts that run
no program, only lend memory."""

from cluster import Cluster, expect, main

PAGES = 640
KEPT_PAGES = 256  # cache_mb=1
SLACK_PAGES = 128


def resident(node):
    return int(node.run("sed -n 's/^resident_pages //p' /sys/kernel/debug/giantvm/ram/stats"))


def test(l):
    cluster = Cluster(l, 3, roles="cmm")
    cluster.join("ram", PAGES * 4)
    zero, one, two = cluster.nodes
    zero.run("echo 1 > /sys/module/giantvm_kvm/parameters/cache_mb")
    share = "share /dev/gvm/ram {id} 1 "
    for seed in 1, 2:
        zero.run(share + "fill 0 %d %d" % (PAGES, seed))
        zero.run(share + "check 0 %d %d" % (PAGES, seed))
    for node in one, two:
        node.run("echo 1 > /sys/module/giantvm_kvm/parameters/cache_mb")  # is of what it could send home
    zero.run("sleep 1")
    kept = [resident(node) for node in cluster.nodes]
    l.log("resident: %s", kept)
    expect(kept[0] <= KEPT_PAGES + SLACK_PAGES, "%d pages are resident", kept[0])
    expect(kept[1] + kept[2] >= PAGES - kept[0], "the others have only %s", kept[1:])
    for node, pages in zip(cluster.nodes, [0, *kept[1:]]):
        said = node.run("sed -n 's/^kept_pages //p' /sys/kernel/debug/giantvm/ram/stats")
        expect(int(said) == pages, "node %d says that %s pages have nowhere to go, not %d", node.id, said, pages)
    # Reclaim asks too; and leaving sends the rest home, so that another host finds all of it.
    zero.run("echo 0 > /sys/module/giantvm_kvm/parameters/cache_mb")
    zero.run(share + "check 0 500 2")
    before = resident(zero)
    zero.run("echo 2 > /proc/sys/vm/drop_caches; sleep 1")
    l.log("reclaim: %d pages, then %d", before, resident(zero))
    expect(resident(zero) < before, "reclaim freed nothing of %d pages", before)
    zero.run("gvm dsm leave ram")
    zero.run("gvm dsm join ram")
    zero.run(share + "check 0 %d 2" % PAGES)
    cluster.close()


main(test)
