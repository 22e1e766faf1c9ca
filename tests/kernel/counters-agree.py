#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts increment the same words, and none of it is lost."""

from cluster import Cluster, main


def test(l):
    cluster = Cluster(l, 2)
    cluster.join("ram", 1024)
    cluster.everywhere("share /dev/gvm/ram {id} 2 count 200")
    l.log("%s", cluster.nodes[0].run("cat /sys/kernel/debug/giantvm/ram/*"))
    cluster.close()


main(test)
