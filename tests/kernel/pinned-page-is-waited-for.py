#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that the kernel of one host has a reference to, for a pipe, stays as it is for as long: a writer on
another host waits. Both hosts say so after ten seconds; and the writer goes on when it is let go of.

Two hosts whose kernels pin the same two pages for each write, in opposite order, would wait for each other for
ever: one of them gives up its second page, goes on with the first, and no program sees an error."""

from cluster import SLOWER, Cluster, expect, lab, main

PAGE = 5
SECONDS = 10 + 2 * SLOWER  # both say it after ten
CROSS_SECONDS = 5  # in which they begin to wait for each other; for ten


def cross_ends(l, nodes):
    for node in nodes:
        l.log("node %d: %s", node.id, node.second.answer(60).splitlines()[-2])
    waits = [int(node.run("sed -n 's/^given_up_waits //p' /sys/kernel/debug/giantvm/ram/stats")) for node in nodes]
    l.log("waits that were given up: %s", waits)
    expect(sum(waits), "the hosts have never waited for each other: nothing was tried")


def test(l):
    cluster = Cluster(l, 2)
    cluster.join("ram", 64)
    writer, pinner = cluster.nodes
    pinner.run("share /dev/gvm/ram 1 2 add %d 7" % PAGE)
    pinner.begin("share /dev/gvm/ram 1 2 pin %d %d" % (PAGE, SECONDS))
    # As long as nobody else wants it, it is not evicted either, which its own host would have to wait for.
    pinner.second.run("until pidof share; do sleep 0.1; done; sleep 0.5; "
                      "for i in 1 2 3; do echo 2 > /proc/sys/vm/drop_caches; sleep 0.3; done")
    expect("\n%d " % PAGE not in pinner.second.run("cat /sys/kernel/debug/giantvm/ram/pinned"), "it is to be evicted")
    writer.begin("share /dev/gvm/ram 0 2 add %d 1" % PAGE)
    pinned = "cat /sys/kernel/debug/giantvm/ram/pinned"
    lab.wait_for("the pinned page", lambda: "\n%d " % PAGE in pinner.second.run(pinned), 10)
    for node in cluster.nodes:
        node.second.begin("share /dev/gvm/ram %d 2 cross 8 %d" % (node.id, CROSS_SECONDS))
    pinner.answer()
    expect(writer.answer().split()[0] == "8", "the writer's sum is wrong")
    expect("\n%d " % PAGE not in pinner.run(pinned), "the page still counts as pinned")
    for node, words in (writer, "has waited"), (pinner, "pinned here, as page %d" % PAGE):
        said = node.run("dmesg | grep giantvm")
        expect(words in said, "node %d does not say what is waited for:\n%s", node.id, said)
    cross_ends(l, cluster.nodes)
    cluster.close()


main(test)
