#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount that has read the name table asks the nodes only for what has changed since; so a listing of thousands of
files costs the nodes, and the guests of the mount, as much as there is new. What others make, rename and
remove shows all the same, also when a node has restarted, was away or has forgotten what was removed."""

import os

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

NAMES = 3000
ENTRY_BYTES = 44  # of a name in a list, without its record


def sent(nodes):
    return sum(node.stats()["tx_bytes"] for node in nodes)


def agree(one, two):
    wait_for("both mounts show the same", lambda: sorted(os.listdir(one.path)) == sorted(os.listdir(two.path)),
             20, 0.6)


def told_bytes(nodes, one, two):
    """What the nodes send to tell of five new names."""
    for i in range(5):
        if os.path.exists(two.file("made-%d" % i)):
            os.rmdir(two.file("made-%d" % i))
    agree(one, two)
    before = sent(nodes)
    for i in range(5):
        os.mkdir(two.file("made-%d" % i))
        lab.time.sleep(1.1)
        expect("made-%d" % i in os.listdir(one.path), "folder %d does not show", i)
    return sent(nodes) - before


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(3)]
    for node in nodes:
        l.run(program("record_put"), node.address, "--folders", str(NAMES), seconds=60)
    one, two = Mount(l, nodes, name="one"), Mount(l, nodes, name="two")
    wait_for("all is there", lambda: len(os.listdir(one.path)) == len(os.listdir(two.path)) == NAMES, 30, 0.6)
    # All names are sent again where a connection is made anew, as to a node that stood still for some seconds.
    most = len(nodes) * NAMES * ENTRY_BYTES
    told = lab.best(lambda: told_bytes(nodes, one, two), lambda told: told < most)
    expect(told < most, "the nodes sent %d bytes to tell of 5 new names", told)

    os.rename(two.file("made-0"), two.file("renamed"))
    os.rmdir(two.file("made-1"))
    agree(one, two)
    nodes[1].restart_empty()
    os.mkdir(two.file("after-a-restart"))
    agree(one, two)
    wait_for("the node has all again", lambda: nodes[1].stats()["names"] >= NAMES, 30, 0.3)
    nodes[2].stop()
    os.rmdir(two.file("made-2"))
    os.mkdir(two.file("while-one-is-away"))
    agree(one, two)
    nodes[2].go_on()
    agree(one, two)
    os.rmdir(one.file("made-3"))
    wait_for("what was removed is forgotten",
             lambda: os.path.exists(one.file("look")) or max(n.stats()["tombstones"] for n in nodes) == 0,
             60, 0.6)
    agree(one, two)
    shown = set(os.listdir(one.path))
    expect({"renamed", "made-4", "after-a-restart", "while-one-is-away"} <= shown and
           not {"made-0", "made-1", "made-2", "made-3"} & shown and len(shown) == NAMES + 4,
           "%d names show", len(shown))


lab.main(test)
