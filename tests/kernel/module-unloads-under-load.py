#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that holds copies and owns pages leaves, unloads the module and comes back, again and again,
while others use the same pages, on two CPUs each; and none that it wrote is lost. In use, the module stays."""

from cluster import Cluster, main

ROUNDS = 3
KIB = 512


def test(l):
    cluster = Cluster(l, 3, roles="bbc", parameters="lease_ms=12000", cpus=2)
    cluster.join("ram", KIB)
    cluster.join("own", KIB)  # of the host that comes and goes
    zero, one, two = cluster.nodes
    ram, own = "share /dev/gvm/ram {id} 3 ", "share /dev/gvm/own {id} 3 "
    for node in zero, one:
        node.begin("share /dev/gvm/ram {id} 2 torture 13 2")
    for number in range(ROUNDS):
        # It owns pages of the torture, and changes nothing in them.
        for page in range(8, 16):
            two.run(ram + "add %d 0" % page)
        two.run(own + "fill 80 4 %d" % number)
        two.run("gvm dsm down && rmmod giantvm_kvm")
        cluster.load(two)
        two.run("gvm dsm join ram && gvm dsm join own")
        two.run(own + "check 80 4 %d" % number)
    for node in zero, one:
        l.log("%s", node.answer(120).strip())
    two.begin(own + "beat 90 /tmp/end > /tmp/beat")
    two.second.until("grep begun /tmp/beat")
    two.second.run("rmmod giantvm_kvm", status=1)
    two.second.run("touch /tmp/end")
    two.answer()
    cluster.close()


main(test)
