#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that the command line names twice, in two spellings, is one node: df shows its memory once,
nothing is promised twice, and it alone is a majority of itself."""

import errno
import os

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20


def capacity(mount):
    found = os.statvfs(mount.path)
    return found.f_blocks * found.f_frsize


def refused(path, length):
    with open(path, "xb") as f:
        try:
            f.truncate(length)
        except OSError as why:
            return why.errno == errno.ENOSPC
    return False


def test(l):
    # The standard port, so that one spelling can do without it.
    node, other = Node(l, "256M", port=9999), Node(l, "256M")
    alone = Mount(l, [node])
    true = capacity(alone)
    expect(0 < true <= 256 * MIB, "df says %d MiB of a node that lends 256", true // MIB)
    alone.unmount()
    twice = Mount(l, ["127.0.0.1:9999", "127.0.0.1", "[::ffff:127.0.0.1]:9999", "localhost"])
    twice.says("are one node: it counts once")
    expect(capacity(twice) == true, "df says %d MiB, not %d", capacity(twice) // MIB, true // MIB)
    expect(refused(twice.file("large"), 400 * MIB), "400 MiB were promised by a node of 256")
    os.unlink(twice.file("large"))
    path = twice.region("small", 64 * MIB)
    l.write(path, 0, 64 * MIB, 1)
    twice.unmount()
    # With another one beside it a majority is both, not two spellings of the first.
    both = Mount(l, [node, "localhost:9999", other])
    expect(capacity(both) == 2 * true, "df of two nodes says %d MiB", capacity(both) // MIB)
    l.check(both.file("small"), 0, 64 * MIB, 1)
    other.stop()
    try:
        made = l.start("touch", "timeout", "-s", "KILL", "4", "touch", both.file("new"))
        expect(made.wait(60) != 0, "a name was made without a majority of two nodes")
    finally:
        other.go_on()


lab.main(test)
