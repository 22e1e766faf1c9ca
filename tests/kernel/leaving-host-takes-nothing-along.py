#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that owns far more pages than a connection has room for leaves, and every one of them is at its
home. Nobody then waits for it, where it only had copies, nor is told that it was lost. While it is cut off it
does not leave, and says so; and answers other calls meanwhile. Nor does it give its pages up because it was cut off
for a moment."""

from cluster import Cluster, expect, lab, main

PAGES = 3000
KIB = PAGES * 4
CUT_PAGES = 100
SECONDS = 200  # until a host, however slow, was asked while it left
MOMENT = 4  # seconds: after five a connection that was not made has failed
MEANWHILE = (("leave ram", "not yet done"), ("join ram %dk" % KIB, "not yet done"), ("down", "not yet done"),
             ("status", "region"))


def leaves(node):
    """Homes that stand still for ten seconds take nothing meanwhile: it says so, and is asked again."""
    lab.wait_for("node %d to leave" % node.id, lambda: "stays joined" not in node.run(
        "gvm dsm leave ram 2>&1 || gvm dsm status ram > /dev/null", 60), SECONDS)


def counters(nodes, name):
    return [node.counter(name) for node in nodes]


def asked_while_it_leaves(cluster, share, first):
    """Leaving goes on for as long as it has its lease, while it is cut off. False: then it has said nothing
    that counts, since its lease was over before it was asked."""
    two = cluster.nodes[2]
    two.run(share + "fill %d %d 8" % (first, CUT_PAGES))
    begun, expiries = two.counter("evicted_pages"), two.counter("lease_expiries")
    cluster.network("cut 2")
    two.begin("gvm dsm leave ram 2>&1")
    lab.wait_for("it to begin to leave", lambda: two.counter("evicted_pages") > begun)
    for command, reason in MEANWHILE:
        said = two.second.run("gvm dsm %s 2>&1" % command, status=None)
        if two.counter("lease_expiries") > expiries:
            break
        expect(reason in said, "%s, while a region is being left, says: %s", command, said)
    else:
        command = None
    said = two.answer(status=1)
    expect("stays joined" in said, "leaving says: %s", said)
    two.run("gvm dsm status ram")
    cluster.network("heal 2")
    return not command


def goes_down(l, cluster):
    """Told to lose what nobody takes, and cut off for a moment, with another connection to be made: the home of its pages
    is well all the same. What the home then says of the pages; None: they are lost, but it stood still meanwhile."""
    zero, two = cluster.nodes[0], cluster.nodes[2]
    two.run("gvm dsm up --conf /tmp/cluster.conf --id {id} --key /tmp/key; gvm dsm join brief")
    two.run("share /dev/gvm/brief {id} 3 fill 0 %d 5" % CUT_PAGES)
    cluster.network("break 2 0")
    two.begin("gvm dsm down --force")
    said = two.second.run("until netstat -tn | grep 'SYN_SENT'; do sleep 0.1; done > /dev/null; cat /proc/uptime; "
                          "sleep 1.5")
    cluster.network("heal 2")
    two.answer()
    ended = two.run("cat /proc/uptime")
    seconds = float(ended.split()[0]) - float(said.split()[0])
    checked = zero.run("share /dev/gvm/brief {id} 3 check 0 %d 5 || (gvm dsm discard brief 0 1M; false)" % CUT_PAGES, status=None)
    l.log("went down after %.1f s: %s", seconds, checked)
    return checked if "right" in checked or seconds < MOMENT else None


def test(l):
    cluster = Cluster(l, 3, memory="512M", roles="mmc", parameters="hold_us=0 lease_ms=30000")
    cluster.join("ram", KIB)
    cluster.nodes[0].run("gvm dsm create --homes 0 brief 1M")
    homes, two = cluster.nodes[:2], cluster.nodes[2]
    share = "share /dev/gvm/ram {id} 1 "
    two.run(share + "fill 0 %d 7" % PAGES, seconds=120)
    l.log("filled: %d pages are resident", two.counter("resident_pages"))
    leaves(two)
    l.log("left")
    kept = counters(homes, "resident_pages")
    expect(sum(kept) >= PAGES, "the homes have only %s", kept)
    two.run("gvm dsm join ram")
    two.run(share + "check 0 %d 7" % PAGES, seconds=120)
    leaves(two)
    homes[0].run(share + "fill 0 100 9")
    # A write that waits for a host that has left does so until the end of that one's lease, which is counted.
    lost = counters(homes, "lost_nodes")
    expect(not sum(lost), "a write has waited for a host that has left: %s", lost)
    for node in homes:
        said = node.run("dmesg | grep -E 'were silent|has waited' || true")
        expect(not said, "node %d takes who has left for lost:\n%s", node.id, said)
    two.run("gvm dsm join ram")
    lost = counters(cluster.nodes, "lost_pages")
    expect(not sum(lost), "%s pages are lost", lost)
    pages = iter(range(0, PAGES, CUT_PAGES))
    lab.wait_for("a host that is asked while it leaves", lambda: asked_while_it_leaves(cluster, share, next(pages)), SECONDS)
    leaves(two)
    said = lab.wait_for("a host that goes down in a moment", lambda: goes_down(l, cluster), SECONDS)
    expect("right" in said, "a host that was cut off for a moment while it went down took pages along: %s", said)
    cluster.close()


main(test)
