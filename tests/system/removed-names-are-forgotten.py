#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names are not used up: what was removed is forgotten once all nodes have it, however much it was,
and then costs nobody anything. What is there stays. While a node is away nothing is forgotten."""

import os

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

REMOVED = 60000  # nearly as many as a node keeps names


def names(nodes):
    return [(s["names"], s["tombstones"]) for s in (node.stats() for node in nodes)]


def churn(mount, count):
    for i in range(count):
        path = mount.file("churn-%d" % i)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(path)


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(3)]
    one = Mount(l, nodes, name="one")
    os.mkdir(one.file("kept"))
    for node in nodes:
        l.run(program("record_put"), node.address, "--tombstones", str(REMOVED), seconds=120)
    os.path.exists(one.file("look"))
    wait_for("what was removed is forgotten",
             lambda: os.path.exists(one.file("look")) or max(t for _, t in names(nodes)) == 0)
    # One horizon for each table: of the names that were put there, and of those of the mounts.
    expect(max(n for n, _ in names(nodes)) <= 3, "the nodes keep %s", names(nodes))
    two = Mount(l, nodes, name="two")
    churn(two, 200)
    expect(os.listdir(two.path) == ["kept"], "it shows %s", os.listdir(two.path))
    wait_for("these are forgotten too", lambda: os.path.exists(one.file("look")) or
             max(t for _, t in names(nodes)) < 5, 30, 0.3)

    nodes[2].stop()
    churn(two, 5)
    lab.time.sleep(1.1)
    os.path.exists(one.file("look"))
    lab.time.sleep(1)
    expect(min(t for _, t in names(nodes[:2])) >= 5, "forgotten without the third node: %s",
           names(nodes[:2]))
    nodes[2].go_on()
    wait_for("forgotten with it", lambda: os.path.exists(one.file("look")) or
             max(t for _, t in names(nodes)) < 5, 30, 0.3)
    expect(os.listdir(one.path) == ["kept"], "it shows %s", os.listdir(one.path))


lab.main(test)
