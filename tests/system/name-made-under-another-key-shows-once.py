#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A name that comes too late for the fence of some nodes is made under another key; what one node took of
it under the first does not show beside it, on no mount, then or later."""

import os

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

ROUNDS = 4


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(3)]
    one, two = Mount(l, nodes, name="one"), Mount(l, nodes, name="two")
    made = []
    for i in range(ROUNDS):
        # Of a round that was cut short, far ahead of every birth; one node was not reached.
        for node in nodes[:i % 3] + nodes[i % 3 + 1:]:
            l.run(program("record_put"), node.address, "--fence", str(1000000 * (i + 1)))
        made.append("late-%d" % i)
        if i % 2:
            os.mkdir(one.file(made[-1]))
        else:
            os.close(os.open(one.file(made[-1]), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        wait_for("the other shows it", lambda: made[-1] in os.listdir(two.path), 10, 0.6)
    # The nodes have given one another what they had: nothing is to be done any more.
    wait_for("no tombstone is left", lambda: os.listdir(two.path) and
             max(node.stats()["tombstones"] for node in nodes) == 0, 30, 0.6)
    for mount in one, two:
        lab.time.sleep(1.1)
        shown = sorted(os.listdir(mount.path))
        expect(shown == made, "%s shows %s", mount.path, shown)


lab.main(test)
