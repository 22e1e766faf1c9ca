#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that the kernel of one host has a reference to, for a pipe, stays as it is for as long: a writer on
another host waits. Both hosts say so after ten seconds; and the writer goes on when it is let go of.

Two hosts whose kernels pin the same two pages for each write, in opposite order, would wait for each other for
ever: one of them gives up its second page, goes on with the first, and no program sees an error.

Where nothing is pinned, what a host was the first to read and nobody else has is written without waiting for the
other; of what both increment nothing is lost, and Prometheus is told what the module counts."""

from cluster import SLOWER, Cluster, expect, lab, main
from exported import are_metrics

PAGE = 5
OTHER_PAGE = 101  # of node 1's share
END = "/tmp/end"  # what pins and crosses ends when this file is there, on its own host
DEBUG = "/sys/kernel/debug/giantvm/ram/"
CROSS = "(share /dev/gvm/ram {id} 2 cross 8 %s; echo status $?) > /tmp/cross 2>&1 &" % END
SECONDS = 120  # until what takes ten seconds has happened on a slow host


def has_said(node, words):
    return words in node.second.run("dmesg | grep giantvm")


def given_up(nodes):
    return sum(int(node.second.run("sed -n 's/^given_up_waits //p' %sstats" % DEBUG)) for node in nodes)


def cross_ends(l, node):
    said = node.second.run("until grep status /tmp/cross; do sleep 0.1; done; cat /tmp/cross")
    l.log("node %d: %s", node.id, said)
    expect("status 0" in said, "node %d wrote to two pages at a time: %s", node.id, said)


def pinned(node):
    return "\n%d " % PAGE in node.second.run("cat %spinned" % DEBUG)


def counters_agree(l, cluster):
    zero, one = cluster.nodes
    cluster.join("own", 1024)
    share = "share /dev/gvm/own {id} 2 "
    before = zero.counter("remote_faults", "own")
    zero.run(share + "get %d" % OTHER_PAGE)
    read = zero.counter("remote_faults", "own")
    zero.run(share + "add %d 5" % OTHER_PAGE)
    written = zero.counter("remote_faults", "own")
    l.log("waits: %d, after a read %d, after a write %d", before, read, written)
    expect(before < read == written, "a host waited to write what only it had read")
    expect(one.run(share + "get %d" % OTHER_PAGE).splitlines()[0] == "5", "the other host does not see it")
    cluster.everywhere(share + "count 200")
    are_metrics(zero, "own")


def test(l):
    cluster = Cluster(l, 2)
    counters_agree(l, cluster)
    cluster.join("ram", 64)
    writer, pinner = nodes = cluster.nodes
    pinner.run("share /dev/gvm/ram 1 2 add %d 7" % PAGE)
    pinner.begin("share /dev/gvm/ram 1 2 pin %d %s > /tmp/pin" % (PAGE, END))
    # As long as nobody else wants it, it is not evicted either, which its own host would have to wait for.
    pinner.second.run("until grep pinned /tmp/pin; do sleep 0.1; done; "
                      "for i in 1 2 3; do echo 2 > /proc/sys/vm/drop_caches; sleep 0.3; done")
    expect(not pinned(pinner), "it is to be evicted")
    writer.begin("share /dev/gvm/ram 0 2 add %d 1" % PAGE)
    lab.wait_for("the pinned page", lambda: pinned(pinner), SECONDS * SLOWER)
    for node in nodes:
        node.second.run(CROSS)
    for node, words in (writer, "has waited"), (pinner, "pinned here, as page %d" % PAGE):
        lab.wait_for("node %d to say what is waited for" % node.id, lambda: has_said(node, words), SECONDS * SLOWER)
    lab.wait_for("the hosts to have waited for each other", lambda: given_up(nodes), SECONDS * SLOWER)
    for node in nodes:
        node.second.run("touch %s" % END)
    pinner.answer()
    expect(writer.answer().split()[0] == "8", "the writer's sum is wrong")
    expect(not pinned(pinner), "the page still counts as pinned")
    for node in nodes:
        cross_ends(l, node)
    l.log("waits that were given up: %d", given_up(nodes))
    cluster.close()


main(test)
