#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts increment the same words, and none of it is lost. What a host was the first to read and nobody else
has, it writes without waiting for the other."""

from cluster import Cluster, expect, main

PAGE = 101  # of node 1's share


def waits(node):
    return int(node.run("sed -n 's/^remote_faults //p' /sys/kernel/debug/giantvm/ram/stats"))


def test(l):
    cluster = Cluster(l, 2)
    cluster.join("ram", 1024)
    zero, one = cluster.nodes
    share = "share /dev/gvm/ram {id} 2 "
    before = waits(zero)
    zero.run(share + "get %d" % PAGE)
    read = waits(zero)
    zero.run(share + "add %d 5" % PAGE)
    written = waits(zero)
    l.log("waits: %d, after a read %d, after a write %d", before, read, written)
    expect(before < read == written, "a host waited to write what only it had read")
    expect(one.run(share + "get %d" % PAGE).splitlines()[0] == "5", "the other host does not see it")
    cluster.everywhere(share + "count 200")
    l.log("%s", cluster.nodes[0].run("cat /sys/kernel/debug/giantvm/ram/*"))
    cluster.close()


main(test)
