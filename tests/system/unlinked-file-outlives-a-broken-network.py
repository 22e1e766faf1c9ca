#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory of a guest whose file has no name any more is not deleted by another host that happens
to look while the guest's host is cut off for a moment."""

import os
import time

import lab
from lab import expect
from remote import Mount, Node, Relay

MIB = 1 << 20
DATA = os.urandom(MIB)


def test(l):
    node = Node(l, "96M")
    relay = Relay(l, node)
    one = Mount(l, [relay.address], name="one")
    region = one.region("ram", 8 * MIB)
    held = os.open(region, os.O_RDWR)
    os.unlink(region)
    os.pwrite(held, DATA, MIB)
    os.fsync(held)
    relay.cut()
    two = Mount(l, [node], name="two")
    for _ in range(3):
        expect(os.listdir(two.path) == [], "the other host shows %s", os.listdir(two.path))
        time.sleep(1.1)
    two.unmount()
    relay.start()
    os.posix_fadvise(held, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(os.pread(held, MIB, MIB) == DATA, "other content than was written")
    os.pwrite(held, DATA, 2 * MIB)
    os.fsync(held)
    os.close(held)


lab.main(test)
