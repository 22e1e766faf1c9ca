#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node withdraws offers that it never made, hundreds at a time, while another one goes down, again and
again: that ends all the same, though its mutex is what each of them waits for."""

from cluster import Cluster, main

ROUNDS = 8
SECONDS_MAX = 3600  # it is ended before
TERMINATED = 128 + 15
ROLES = "bc"


def test(l):
    cluster = Cluster(l, 2, roles=ROLES, key="", up=False)
    zero, one = cluster.nodes
    zero.run("insmod /lib/giantvm_kvm.ko")
    one.begin("flood 1 0 %d" % SECONDS_MAX)
    for number in range(ROUNDS):
        cluster.up(zero, ROLES, "")
        zero.run("gvm dsm create ram 1M")
        zero.shell.until("gvm dsm status | grep ' connected'")
        zero.run("gvm dsm down --force")
    one.second.run("kill $(pidof flood)")
    one.answer(status=TERMINATED)
    one.run("insmod /lib/giantvm_kvm.ko")  # as close() finds it
    cluster.close()


main(test)
