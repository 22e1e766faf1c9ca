#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with another key, without one, or with another list of nodes gets no connection, and is told of
in the log; with the right ones it is one of them."""

from cluster import Cluster, expect, main

REFUSED = (("bb wrong", "has another key"), ("bb", "has no key"), ("bc secret", "has another list"))


def test(l):
    cluster = Cluster(l, 2)
    zero, one = cluster.nodes
    zero.run("dsm join ram 1024")
    for arguments, reason in REFUSED:
        one.run("dsm down && dsm up 1 %s && dsm join ram 1024 && dmesg -c > /dev/null" % arguments)
        one.run("timeout 3 share /dev/gvm/ram 1 2 get 6", status=None)
        said = zero.run("dmesg -c") + one.run("dmesg -c")
        expect(reason in said, "nobody says '%s' but:\n%s", reason, said)
    one.run("dsm down && dsm up 1 bb secret && dsm join ram 1024")
    cluster.everywhere("share /dev/gvm/ram {id} 2 count 50")
    cluster.close()


main(test)
