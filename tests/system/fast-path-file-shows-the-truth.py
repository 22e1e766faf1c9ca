#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""While a region is mapped through the fast path, its file shows what the client sees, and reading it
changes nothing about what is on this host. Nobody else may write. A hole that the client punches is
zeros for everybody, and frees memory on the node. An fsync has all of it on the nodes."""

import errno
import os
import time

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 32 * MIB
BUDGET = 8 * MIB


def is_balanced(mount):
    """What leaves goes on leaving for a while below the budget."""
    looks = []
    for _ in range(3):
        looks.append(mount.stats("ram")["resident_bytes"])
        time.sleep(0.1)
    return looks[0] < BUDGET and len(set(looks)) == 1


COUNTED = "resident_bytes", "faults", "evictions"


def read_between(l, mount, region):
    """What is counted, before and after a reading."""
    wait_for("the balance is struck", lambda: is_balanced(mount))
    before = mount.stats("ram")
    l.check(region, 0, SIZE, 1)
    after = mount.stats("ram")
    return [[stats[name] for name in COUNTED] for stats in (before, after)]


def test(l):
    node = Node(l, "64M")
    mount = Mount(l, [node])
    region = mount.region("ram", SIZE)
    mount.budget("ram", BUDGET)
    client = Mapper(l, region)
    client.do("fill", 0, SIZE, 1)
    # What evicts looks balanced, too, while it gets no CPU.
    before, after = lab.in_its_time(lambda: read_between(l, mount, region), lambda found: found[0] == found[1])
    expect(before == after, "reading changed %s: %s, then %s", COUNTED, before, after)
    client.do("fill", 0, 4 * MIB, 2)
    l.check(region, 0, 4 * MIB, 2)
    try:
        os.close(os.open(region, os.O_RDWR))
        raise lab.Failure("a second writer may open it")
    except OSError as why:
        expect(why.errno == errno.EBUSY, "a second writer got %s", why)
    try:
        os.truncate(region, SIZE // 2)
        raise lab.Failure("it may be cut")
    except OSError as why:
        expect(why.errno == errno.EBUSY, "cutting it gave %s", why)

    # QEMU punches its own descriptor; ours would be a second writer's.
    stored = node.stats()["stored_bytes"]
    client.do("punch", 8 * MIB, 16 * MIB)
    client.do("check", 8 * MIB, 16 * MIB, 0)
    l.check(region, 8 * MIB, 16 * MIB, 0)
    client.do("punch", 8 * MIB, 16 * MIB)
    wait_for("the node has less", lambda: node.stats()["stored_bytes"] < stored * 3 // 4)

    client.do("fill", 0, 4 * MIB, 3)
    fd = os.open(region, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    other = Mount(l, [node], name="other")
    l.check(other.file("ram"), 0, 4 * MIB, 3)
    l.check(other.file("ram"), 4 * MIB, 4 * MIB, 1)
    l.check(other.file("ram"), 8 * MIB, 16 * MIB, 0)
    # What is unplugged from a guest that goes on is a file again.
    client.do("fill", 0, 4 * MIB, 4)
    client.do("unmap")
    mount.drained("ram")
    l.check(region, 0, 4 * MIB, 4)
    client.end()
    l.check(region, 24 * MIB, 8 * MIB, 1)


lab.main(test)
