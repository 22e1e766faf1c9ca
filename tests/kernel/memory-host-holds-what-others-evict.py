#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that may keep less than half of a region fills and checks all of it: the rest is on hosts that run
no program, only lend memory."""

from cluster import Cluster, lab, main

PAGES = 640
KEPT_PAGES = 256  # cache_mb=1
SLACK_PAGES = 128


def settled(cluster):
    """Pages that are resident on each, once the first has evicted all that it has to."""
    kept = [node.counter("resident_pages") for node in cluster.nodes]
    if kept[0] > KEPT_PAGES + SLACK_PAGES or sum(kept) < PAGES:
        return None
    nowhere = [node.counter("kept_pages") for node in cluster.nodes]
    return kept if nowhere == [0, *kept[1:]] else None


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
    l.log("resident: %s", lab.wait_for("all pages to be where they belong", lambda: settled(cluster)))
    # Reclaim asks too; and leaving sends the rest home, so that another host finds all of it.
    zero.run("echo 0 > /sys/module/giantvm_kvm/parameters/cache_mb")
    zero.run(share + "check 0 500 2")
    before = zero.counter("resident_pages")
    zero.run("echo 2 > /proc/sys/vm/drop_caches")
    lab.wait_for("reclaim to free some of %d pages" % before, lambda: zero.counter("resident_pages") < before)
    zero.run("gvm dsm leave ram")
    zero.run("gvm dsm join ram")
    zero.run(share + "check 0 %d 2" % PAGES)
    cluster.close()


main(test)
