#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts run a guest each under KVM, with the same pages as memory: what both increment is counted
right. Each is unmodified KVM, which follows the region's mappings by itself."""

from cluster import Cluster, main


def test(l):
    cluster = Cluster(l, 3)
    cluster.join("ram", 1024)
    two = cluster.nodes[:2]
    for said in cluster.everywhere("share /dev/gvm/ram {id} 2 vcpu 400", seconds=120, nodes=two):
        l.log("%s", said.strip())
    cluster.everywhere("share /dev/gvm/ram {id} 2 vcpu 2000", seconds=120, nodes=two)
    cluster.close()


main(test)
