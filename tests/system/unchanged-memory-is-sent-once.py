#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory on the fast path that comes and goes again and again without being changed is sent to its
node once; later it is only dropped."""

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
CHUNK = MIB // 8
SIZE = 24 * MIB
BUDGET = 4 * MIB


def test(l):
    mount = Mount(l, [Node(l, "64M")])
    region = mount.region("ram", SIZE)
    mount.budget("ram", BUDGET)
    client = Mapper(l, region)
    client.do("fill", 0, SIZE, 1)
    before = mount.stats("ram")
    for _ in range(3):
        client.do("touch", 0, SIZE)
    after = mount.stats("ram")
    evicted = after["evictions"] - before["evictions"]
    written = after["chunks_written"] - before["chunks_written"]
    l.log("%d chunks left, %d of them were sent", evicted, written)
    expect(evicted >= 2 * SIZE // CHUNK, "only %d chunks left", evicted)
    # Those that are filled last are still here, and have yet to be sent.
    expect(written <= BUDGET // CHUNK, "%d of %d unchanged chunks were sent", written, evicted)
    client.do("check", 0, SIZE, 1)
    client.end()
    mount.drained("ram")
    l.check(region, 0, SIZE, 1)


lab.main(test)
