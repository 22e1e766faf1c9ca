#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""While a region is mapped through the fast path its budget goes from all of it to a hundredth and
back: what is here follows, and the contents stay. With a device passed through all of it is here."""

import os

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 64 * MIB
SMALL = 2 * MIB  # the least that there may be


def test(l):
    node = Node(l, "96M")
    mount = Mount(l, [node])
    region = mount.region("ram", SIZE)
    client = Mapper(l, region)

    def here():
        return mount.stats("ram")["resident_bytes"]

    client.do("fill", 0, SIZE, 1)
    expect(here() == SIZE, "%d bytes are here, without a budget", here())
    l.run(program("gvm"), "region", "local", region, "1%")
    wait_for("what is here has shrunk", lambda: here() <= SMALL)
    expect(node.stats()["stored_bytes"] > SIZE // 4, "the rest is not on the node")
    client.do("check", 0, SIZE, 1)
    client.do("fill", 0, SIZE // 2, 2)
    expect(here() <= SMALL, "%d bytes are here", here())
    said = l.run(program("gvm"), "region", "local", region)
    expect("2 MiB" in said or "1%" in said or "655" in said, "gvm region local says %s", said)
    # A budget below the least is shown as what it amounts to; what is no region has none.
    l.run(program("gvm"), "region", "local", region, "64K")
    said = l.run(program("gvm"), "region", "local", region)
    expect(": 2 MiB may be here" in said, "gvm region local says %s", said)
    other = l.path("no-region")
    with open(other, "w"):
        pass
    for path in (other, mount.path):
        for size in ((), ("1M",), ("all",)):
            said = l.run(program("gvm"), "region", "local", path, *size, status=1)
            expect("not a region" in said, "gvm region local %s says %s", path, said)
    expect(not os.listxattr(other), "a file that is no region has %s", os.listxattr(other))
    l.run(program("gvm"), "region", "local", region, "100%")
    client.do("check", 0, SIZE // 2, 2)
    client.do("check", SIZE // 2, SIZE // 2, 1)
    expect(here() == SIZE, "%d bytes are here, with room for all", here())
    # A device that is passed through pins all of it: the budget cannot hold, and that is said.
    l.run(program("gvm"), "region", "local", region, "1%")
    wait_for("what is here has shrunk", lambda: here() <= SMALL)
    client.do("vfio")
    mount.says("all of it stays on this host")
    client.do("check", 0, SIZE // 2, 2)
    client.do("check", SIZE // 2, SIZE // 2, 1)
    expect(here() == SIZE, "%d bytes are here, of memory that a device pins", here())
    client.end()
    mount.drained("ram")
    l.check(region, 0, SIZE // 2, 2)
    l.check(region, SIZE // 2, SIZE // 2, 1)


lab.main(test)
