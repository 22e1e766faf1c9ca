#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with another key, without one, with another list of nodes or another lease gets no connection, and
is told of in the log; with the right ones it is one of them, also after its clock was set back. Without a key, hosts are nodes only where that is asked for."""

from cluster import Cluster, expect, main

KEY = "the key of this test"
REFUSED = (("bb", "another key of a test", "has another key"), ("bb", "", "has no key"),
           ("bc", KEY, "has another list"))
LEASE_MS = 2000


def refused(zero, one, reason):
    said = one.run("gvm dsm join --wait 2 ram 1M 2>&1", status=1)
    expect("not every node" in said, "a join without the other says: %s", said)
    said = zero.run("dmesg -c") + one.run("dmesg -c")
    expect(reason in said, "nobody says '%s' but:\n%s", reason, said)


def test(l):
    cluster = Cluster(l, 2, key=KEY, parameters="lease_ms=%d" % LEASE_MS)
    zero, one = cluster.nodes
    cluster.join("ram", 1024)
    one.run("share /dev/gvm/ram {id} 2 get 70")
    one.run("gvm dsm down")
    said = one.run("gvm dsm up --conf /tmp/cluster.conf --id 1 2>&1", status=1)
    expect("not loopback" in said, "up without a key says: %s", said)
    one.run("sed 's/10\\.9\\.0\\./127.0.0./' /tmp/cluster.conf > /tmp/own.conf; gvm dsm up --conf /tmp/own.conf --id 1")
    for roles, key, reason in REFUSED:
        one.run("gvm dsm down && dmesg -c > /dev/null")
        cluster.up(one, roles, key)
        refused(zero, one, reason)
    one.run("gvm dsm down --force && rmmod giantvm_kvm && insmod /lib/giantvm_kvm.ko lease_ms=%d" % (2 * LEASE_MS))
    cluster.up(one, "bb", KEY)
    refused(zero, one, "another lease_ms")

    one.run("gvm dsm down --force && rmmod giantvm_kvm && date -s @$(($(date +%s) - 3600))")
    cluster.load(one)
    said = one.run("umask 077; echo another key of it > /tmp/other; gvm dsm up --conf /tmp/cluster.conf --id 1 --key /tmp/other 2>&1",
                   status=1)
    expect("a node already" in said, "up again with another key says: %s", said)
    one.run("gvm dsm join ram")
    one.run("dmesg -c > /dev/null; share /dev/gvm/ram {id} 2 get 70; sleep 1")
    said = one.run("dmesg -c")
    expect("clock was set back" in said, "after the clock was set back the log has:\n%s", said)
    cluster.join("new", 64)
    cluster.everywhere("share /dev/gvm/new {id} 2 count 50")
    cluster.close()


main(test)
