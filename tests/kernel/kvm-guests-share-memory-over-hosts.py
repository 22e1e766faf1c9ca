#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts with two CPUs run a guest each under KVM, two vCPUs in it, with the same pages as memory:
what all six increment is counted right. Each is unmodified KVM, which follows the region's mappings by
itself."""

from cluster import Cluster, main


def test(l):
    cluster = Cluster(l, 3, cpus=2)
    cluster.join("ram", 1024)
    for rounds in 60, 240:
        for said in cluster.everywhere("share /dev/gvm/ram {id} 3 vcpu %d 2" % rounds, seconds=120):
            l.log("%s", said.strip())
    cluster.close()


main(test)
