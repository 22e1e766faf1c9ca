#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts mount the same nodes. While one has a region open for writing the other may read it and
is refused (EBUSY) when it wants to write; as soon as the first has closed it, the second may, and
sees all that the first wrote."""

import errno
import os

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
SIZE = 8 * MIB


def open_error(path, flags):
    try:
        os.close(os.open(path, flags))
        return 0
    except OSError as why:
        return why.errno


def visible(path):
    return os.path.exists(path)


def test(l):
    nodes = [Node(l, "64M"), Node(l, "64M")]
    one, two = Mount(l, nodes, name="one"), Mount(l, nodes, name="two")
    region = one.region("ram", SIZE)
    writer = os.open(region, os.O_RDWR)
    l.write(region, 0, SIZE, 1)
    wait_for("the other host sees the new region", lambda: visible(two.file("ram")), 15)
    found = open_error(two.file("ram"), os.O_RDWR)
    expect(found == errno.EBUSY, "a second writer got %s", found and errno.errorcode[found])
    expect(open_error(two.file("ram"), os.O_RDONLY) == 0, "a reader was refused")
    l.check(two.file("ram"), 0, SIZE, 1)
    l.write(region, 0, SIZE, 2)
    os.close(writer)
    wait_for("the second host may write",
             lambda: open_error(two.file("ram"), os.O_RDWR) == 0, 15)
    l.check(two.file("ram"), 0, SIZE, 2)
    l.write(two.file("ram"), 0, SIZE, 3)
    l.check(region, 0, SIZE, 3)
    expect(one.stats().get("io_errors", 0) + two.stats().get("io_errors", 0) == 0, "I/O errors")


lab.main(test)
