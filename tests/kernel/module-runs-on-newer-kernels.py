#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with the newest kernel that Debian builds for its release shares memory with one that has the
release's own: the module is one source for both, and one memory over both."""

from cluster import Cluster, expect, main

SECONDS = 4
KERNELS = ["backports", "cloud"]


def test(l):
    cluster = Cluster(l, len(KERNELS), kernels=KERNELS, cpus=2)
    releases = [node.run("uname -r").strip() for node in cluster.nodes]
    l.log("%s", releases)
    expect(releases[0] != releases[1], "the kernels are %s", releases)
    cluster.join("ram", 256)
    cluster.everywhere("share /dev/gvm/ram {id} 2 count 200")
    for said in cluster.everywhere("share /dev/gvm/ram {id} 2 torture %d 2" % SECONDS):
        l.log("%s", said.strip())
    cluster.close()


main(test)
