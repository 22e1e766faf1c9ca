#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""To open a region for writing costs the nodes, and the thread that guests wait for, the same whether none or a
hundred others are open; and a worker that takes over tells the nodes of all of them."""

import os

import lab
from lab import wait_for
from remote import Mount, Node

OTHERS = 100
SIZE = 1 << 20
TELLS = 100  # bytes of a REGION_OPEN, at least


def told(nodes, path):
    """How many bytes the nodes are told when it is opened and closed: the least of some, since they are told other
    things, too."""
    least = None
    for _ in range(8):
        before = sum(node.stats()["rx_bytes"] for node in nodes)
        os.close(os.open(path, os.O_RDWR))
        bytes_now = sum(node.stats()["rx_bytes"] for node in nodes) - before
        least = bytes_now if least is None else min(least, bytes_now)
    return least


def test(l):
    nodes = [Node(l, "256M", name="node-%d" % i) for i in range(3)]
    mount = Mount(l, nodes)
    one = mount.region("one", SIZE)
    alone = told(nodes, one)
    others = [os.open(mount.region("other-%d" % i, SIZE), os.O_RDWR) for i in range(OTHERS)]
    # What was just made is written down for a while yet.
    wait_for("the nodes are told little more than the %d bytes alone, beside %d others" % (alone, OTHERS),
             lambda: told(nodes, one) < alone + OTHERS * TELLS, 20)

    before = [node.stats()["rx_bytes"] for node in nodes]
    mount.kill_worker()
    wait_for("each node is told of all of them", lambda: all(
        node.stats()["rx_bytes"] - told_before > OTHERS * TELLS for node, told_before in zip(nodes, before)))
    for fd in others:
        os.close(fd)


lab.main(test)
