#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with another key, without one, or with another list of nodes gets no connection, and is told of
in the log; with the right ones it is one of them."""

from cluster import Cluster, expect, main

KEY = "the key of this test"
REFUSED = (("bb", "another key of a test", "has another key"), ("bb", "", "has no key"),
           ("bc", KEY, "has another list"))


def test(l):
    cluster = Cluster(l, 2, key=KEY)
    zero, one = cluster.nodes
    cluster.join("ram", 1024)
    for roles, key, reason in REFUSED:
        one.run("gvm dsm down && dmesg -c > /dev/null")
        cluster.up(one, roles, key)
        said = one.run("gvm dsm join --wait 2 ram 1M 2>&1", status=1)
        expect("not every node" in said, "a join without the other says: %s", said)
        said = zero.run("dmesg -c") + one.run("dmesg -c")
        expect(reason in said, "nobody says '%s' but:\n%s", reason, said)
    one.run("gvm dsm down")
    cluster.up(one, "bb", KEY)
    one.run("gvm dsm join ram")
    cluster.everywhere("share /dev/gvm/ram {id} 2 count 50")
    cluster.close()


main(test)
