#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How many blocks files have is asked of few nodes, and about many files at a time: about what this host left empty one
of its nodes alone, about a small file those that can have chunks of it, and about the files of a listing once for all.
What another host writes shows at the very next look all the same."""

import os
import time

import lab
from lab import expect
from remote import Mount, Node

CHUNK = 128 << 10
NODES = 16
FILES = 64
REQUEST_BYTES = 56 + 145  # that asks a node for the figures of a region, and its answer
WRITTEN = 16


def blocks(mount, names):
    return {name: os.stat(mount.file(name)).st_blocks for name in names}


def traffic(nodes):
    return sum(stats["rx_bytes"] + stats["tx_bytes"] for stats in (node.stats() for node in nodes))


def requests(nodes, mount, names):
    """How many such requests the nodes can have answered while somebody looked at the files. Now and then a mount reads
    all names again: not each time."""
    counts = []
    for _ in range(4):
        time.sleep(1.2)  # what was asked before is old
        os.listdir(mount.path)
        before = traffic(nodes)
        blocks(mount, names)
        counts.append((traffic(nodes) - before) // REQUEST_BYTES)
    return min(counts)


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(NODES)]
    one, two = Mount(l, nodes, name="one"), Mount(l, nodes, name="two")
    names = ["f%d" % i for i in range(FILES)]
    for name in names:
        one.region(name, 2 * NODES * CHUNK)
    for name in names[:FILES // 2]:
        two.region("small-" + name, 2 * CHUNK)
    expect(set(blocks(one, names).values()) == {0}, "what was never written has blocks")
    count = requests(nodes, one, names)
    expect(count < FILES * NODES / 2, "%d requests for %d files that were left empty", count, FILES)
    small = ["small-" + name for name in names[:FILES // 2]]
    count = requests(nodes, one, small)
    expect(count < len(small) * NODES / 2, "%d requests for %d small files", count, len(small))
    count = requests(nodes, two, names)
    expect(count < FILES * NODES / 2, "%d requests for a listing of %d files", count, FILES)

    for at, name in enumerate(names[:WRITTEN]):
        with open(two.file(name), "r+b") as f:
            f.seek(at * CHUNK)  # on one node after the other
            f.write(b"data")
        expect(os.stat(one.file(name)).st_blocks > 0, "%s has no blocks though it was written elsewhere", name)
    expect(set(blocks(one, names[WRITTEN:]).values()) == {0}, "what nobody wrote has blocks")


lab.main(test)
