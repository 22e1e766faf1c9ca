#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that is cut off (its packets are dropped) makes accesses to what it holds wait; they go on
when the network heals, with the right data. A region on another node does not notice."""

import time

import lab
from lab import expect
from remote import Mount, Node, two_regions

MIB = 1 << 20


def test(l):
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount, own, shared = two_regions(l, near, far, 16 * MIB)
    l.network.cut(far.port)
    waiting = l.access("check", shared, 0, 16 * MIB, 2)
    mount.says(r"127\.0\.0\.1:%d" % far.port, 30)  # it says which node it waits for
    l.check(own, 0, 16 * MIB, 1)
    l.write(own, 0, 4 * MIB, 3)
    time.sleep(1)
    expect(waiting.running(), "the access did not wait: %s", waiting.log())
    l.network.heal()
    waiting.succeed(30)
    l.write(shared, 0, 16 * MIB, 4)
    l.check(shared, 0, 16 * MIB, 4)


lab.main(test)
