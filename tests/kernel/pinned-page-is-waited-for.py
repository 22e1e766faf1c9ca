#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that the kernel of one host has a reference to, for a pipe, stays as it is for as long: a writer on
another host waits. Both hosts say so after ten seconds; and the writer goes on when it is let go of."""

from cluster import Cluster, expect, lab, main

PAGE = 5
SECONDS = 14  # both say it after ten


def test(l):
    cluster = Cluster(l, 2)
    cluster.join("ram", 64)
    writer, pinner = cluster.nodes
    pinner.run("share /dev/gvm/ram 1 2 add %d 7" % PAGE)
    pinner.begin("share /dev/gvm/ram 1 2 pin %d %d" % (PAGE, SECONDS))
    pinner.second.run("until pidof share; do sleep 0.1; done; sleep 0.5")
    writer.begin("share /dev/gvm/ram 0 2 add %d 1" % PAGE)
    pinned = "cat /sys/kernel/debug/giantvm/ram/pinned"
    lab.wait_for("the pinned page", lambda: "\n%d " % PAGE in pinner.second.run(pinned), 10)
    pinner.answer()
    expect(writer.answer().split()[0] == "8", "the writer's sum is wrong")
    expect("\n%d " % PAGE not in pinner.run(pinned), "the page still counts as pinned")
    for node, words in (writer, "has waited"), (pinner, "pinned here, as page %d" % PAGE):
        said = node.run("dmesg | grep giantvm")
        expect(words in said, "node %d does not say what is waited for:\n%s", node.id, said)
    cluster.close()


main(test)
