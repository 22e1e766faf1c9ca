#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hundreds of connections to the fast path's socket on which nothing is said, and which come again when
they are closed, deny no other user the fast path, nor slow a guest down."""

import time

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import Stranger

MIB = 1 << 20


def test(l):
    open_device(l)
    node = Node(l, "256M")
    mount = Mount(l, [node])
    region = mount.region("ram", 16 * MIB)
    worker = mount.worker()
    honest = Mapper(l, region)
    for count in (40, 400):
        stranger = Stranger(l, region, "silent", count)
        for n in range(8):
            name = "late-%d-%d" % (count, n)
            late = Mapper(l, mount.region(name, MIB))
            late.process.says("uffd")
            late.do("fill", 0, MIB, n)
            late.end()
        honest.do("fill", 0, 4 * MIB, count)
        honest.do("check", 0, 4 * MIB, count)
        expect(stranger.process.running(), "the stranger has ended: %s", stranger.process.log())
        stranger.end()
    # Nothing of it stays.
    time.sleep(0.5)
    expect(mount.worker() == worker, "the worker did not live")
    honest.end()


lab.main(test)
