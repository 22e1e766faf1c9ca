#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How many blocks a file has is asked of few nodes: of what this host left empty one of its nodes alone, of a small
file those that can have chunks of it. What another host writes shows at the very next look all the same."""

import os

import lab
from lab import expect
from remote import Mount, Node

CHUNK = 128 << 10
NODES = 16
FILES = 64
REQUEST_BYTES = 56  # that asks a node for the figures of a region
WRITTEN = 16


def blocks(mount, names):
    return {name: os.stat(mount.file(name)).st_blocks for name in names}


def requests(nodes, look):
    """How many such requests the nodes could have been sent meanwhile."""
    before = sum(node.stats()["rx_bytes"] for node in nodes)
    look()
    return (sum(node.stats()["rx_bytes"] for node in nodes) - before) // REQUEST_BYTES


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(NODES)]
    one, two = Mount(l, nodes, name="one"), Mount(l, nodes, name="two")
    names = ["f%d" % i for i in range(FILES)]
    for name in names:
        one.region(name, 2 * NODES * CHUNK)
    for name in names[:FILES // 2]:
        two.region("small-" + name, 2 * CHUNK)
    expect(set(blocks(one, names).values()) == {0}, "what was never written has blocks")
    count = requests(nodes, lambda: blocks(one, names))
    expect(count < FILES * NODES / 2, "%d requests for %d files that were left empty", count, FILES)
    small = ["small-" + name for name in names[:FILES // 2]]
    blocks(one, small)
    lab.time.sleep(1.2)
    count = requests(nodes, lambda: blocks(one, small))
    expect(count < len(small) * NODES / 2, "%d requests for %d small files", count, len(small))

    for at, name in enumerate(names[:WRITTEN]):
        with open(two.file(name), "r+b") as f:
            f.seek(at * CHUNK)  # on one node after the other
            f.write(b"data")
        expect(os.stat(one.file(name)).st_blocks > 0, "%s has no blocks though it was written elsewhere", name)
    expect(set(blocks(one, names[WRITTEN:]).values()) == {0}, "what nobody wrote has blocks")


lab.main(test)
