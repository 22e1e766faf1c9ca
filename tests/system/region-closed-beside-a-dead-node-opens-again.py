#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region with two copies is closed in the moment in which one of its nodes dies, or has come back without its
memory: it can be opened for writing again beside that, has all of its bytes, and nobody has to use force."""

import os

from lab import expect, main, wait_for
from remote import Mount, Node

SIZE = 16 << 20


def content(round_):
    return b"".join(bytes([round_]) * 64 + at.to_bytes(8, "little") * 8 for at in range(SIZE // 128))


def test(l):
    nodes = [Node(l, "128M", name="node%d" % i) for i in range(3)]  # two are a majority, for the names
    mount = Mount(l, nodes, "--replicas", "2")
    path = mount.region("ram", SIZE)
    for round_, (what, harm, heal) in enumerate((
            ("is dead", Node.kill, Node.start),
            ("has lost its memory", Node.restart_empty, lambda node: None))):
        data = content(round_)
        with open(path, "r+b") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
            # A node that stood still meanwhile was left out, and is not all that is left of some of it before it has that.
            wait_for("all copies are there", lambda: not mount.stats("ram").get("slots_degraded"))
            harm(nodes[round_])
        for _ in range(2):
            with open(path, "r+b") as f:
                expect(f.read() == data, "a node %s: other bytes", what)
        heal(nodes[round_])
        with open(path, "r+b") as f:
            mount.says("all of its chunks have 2 copies again", 60)
    mount.unmount()


main(test)
