#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A writer that is cut off from the nodes is overtaken by another host. When it is back, its late
writes are refused, it says so and its users get errors; what the new writer wrote stays as it is."""

import os

import lab
from lab import expect, wait_for
from remote import Mount, Node, Relay

MIB = 1 << 20
SIZE = 8 * MIB


def test(l):
    node = Node(l, "96M")
    # The first host reaches the node by an address of its own, so that it can be cut off alone.
    relay = Relay(l, node)
    one = Mount(l, [relay.address], name="one")
    region = one.region("ram", SIZE)
    l.write(region, 0, SIZE, 1)
    held = os.open(region, os.O_RDWR)
    l.network.cut(relay.port)
    late = l.access("write", region, 0, SIZE, 2)  # waits, with its pages unsent
    two = Mount(l, [node], name="two")

    def overtake():
        return l.access("write", two.file("ram"), 0, SIZE, 3).wait(30) == 0
    relay.cut()
    wait_for("another host may write", overtake, 40, 1)
    l.network.heal()
    relay.start()
    expect(late.wait(40) == 1, "the late writer said: %s", late.log())
    one.says(r"(?i)fenced|another (host|writer)|taken over", 20)
    failing = l.access("check", region, 0, SIZE, 3)
    failing.wait(20)
    expect(failing.log().strip() in ("error EIO", "error ESTALE", "done"),
           "the overtaken mount reads: %s", failing.log())
    l.check(two.file("ram"), 0, SIZE, 3)
    os.close(held)
    two.unmount()
    l.check(Mount(l, [node], name="three").file("ram"), 0, SIZE, 3)


lab.main(test)
