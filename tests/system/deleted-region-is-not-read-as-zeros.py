#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that has a file open for reading on one host while another deletes it gets errors: a lost
chunk is never a zero chunk."""

import os
import time

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
SIZE = 4 * MIB


def test(l):
    node = Node(l, "96M")
    one = Mount(l, [node], name="one")
    region = one.region("ram", SIZE)
    l.write(region, 0, SIZE, 1)
    two = Mount(l, [node], name="two")
    l.check(two.file("ram"), 0, SIZE, 1)
    held = os.open(two.file("ram"), os.O_RDONLY)
    before = os.pread(held, 4096, 0)
    expect(any(before), "there is nothing to read")
    os.unlink(region)
    time.sleep(1.1)  # so long it may believe the names that it has
    expect(not os.listdir(two.path), "the other host still lists %s", os.listdir(two.path))
    try:
        found = os.pread(held, 4096, 0)
        expect(found == before, "the deleted file reads as %d bytes, %s", len(found),
               "all zero" if not any(found) else "others than were written")
    except OSError:
        pass
    os.close(held)


lab.main(test)
