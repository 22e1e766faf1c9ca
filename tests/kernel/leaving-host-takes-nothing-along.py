#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that owns far more pages than a connection has room for leaves, and every one of them is at its
home. Nobody then waits for it, where it only had copies, nor is told that it was lost. While it is cut off it
does not leave, and says so; and answers other calls meanwhile."""

import time

from cluster import Cluster, expect, main

PAGES = 3000
KIB = PAGES * 4
LEASE_SECONDS = 10


def counter(node, name):
    return int(node.run("sed -n 's/^%s //p' /sys/kernel/debug/giantvm/ram/stats" % name))


def test(l):
    cluster = Cluster(l, 3, memory="512M", roles="mmc", parameters="hold_us=0")
    cluster.join("ram", KIB)
    homes, two = cluster.nodes[:2], cluster.nodes[2]
    share = "share /dev/gvm/ram {id} 1 "
    two.run(share + "fill 0 %d 7" % PAGES, seconds=120)
    l.log("filled: %d pages are resident", counter(two, "resident_pages"))
    two.run("gvm dsm leave ram", seconds=60)
    l.log("left")
    kept = [counter(node, "resident_pages") for node in homes]
    expect(sum(kept) >= PAGES, "the homes have only %s", kept)
    two.run("gvm dsm join ram")
    two.run(share + "check 0 %d 7" % PAGES, seconds=120)
    two.run("gvm dsm leave ram", seconds=60)
    begun = time.monotonic()
    homes[0].run(share + "fill 0 100 9")
    waited = time.monotonic() - begun
    l.log("a write after it has left: %.1f s", waited)
    expect(waited < LEASE_SECONDS / 2, "a write waits for a host that has left: %.1f s", waited)
    for node in homes:
        said = node.run("dmesg | grep 'were silent' || true")
        expect(not said, "node %d takes who has left for lost:\n%s", node.id, said)
    two.run("gvm dsm join ram")
    lost = [counter(node, "lost_pages") for node in cluster.nodes]
    expect(not sum(lost), "%s pages are lost", lost)
    two.run(share + "fill 0 100 8")
    cluster.network("cut 2")
    two.begin("gvm dsm leave ram 2>&1; status=$?; touch /tmp/over; exit $status")
    two.second.run("sleep 1")
    for command, reason in (("leave ram", "not yet done"), ("join ram %dk" % KIB, "not yet done"),
                            ("down", "not yet done"), ("status", "region")):
        said = two.second.run("gvm dsm %s 2>&1; test ! -e /tmp/over" % command)
        expect(reason in said, "%s, while a region is being left, says: %s", command, said)
    said = two.answer(60, status=1)
    expect("stays joined" in said, "leaving says: %s", said)
    two.run("gvm dsm status ram")
    cluster.network("heal 2")
    two.run("gvm dsm leave ram")
    cluster.close()


main(test)
