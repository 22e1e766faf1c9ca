#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount that runs is given more nodes: a program that writes and checks its pages goes on, files that are made then lie on them,
too, and also after the worker was killed. A node that does not answer, or that the mount has, is not added."""

import os
import sys

import lab
from lab import expect, program
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 24 * MIB


def add(test, mount, *words, status=0):
    return test.run(program("gvm"), "node", "add", *words[:-1], mount.path, words[-1], status=status)


def takes_nodes(test, mount, nodes):
    """One by its address, and two of a file in which all stand."""
    mapper = Mapper(test, mount.region("old", SIZE), "auto")
    mount.budget("old", SIZE // 4)
    mapper.do("fill", 0, SIZE, 3)
    mapper.ask("churn", 0, SIZE, 2)
    add(test, mount, nodes[1].address)
    conf = test.path("cluster.conf")
    with open(conf, "w", encoding="ascii") as f:
        for i, node in enumerate(nodes):
            f.write("%d %s mem\n" % (i, node.address))
    said = test.run(program("gvm"), "node", "add", "--conf", conf, mount.path)
    expect(said.count("added to") == len(nodes) - 2, "gvm node add says: %s", said)
    mapper.answer(60)
    mapper.do("fill", 0, SIZE, 4)
    mapper.do("check", 0, SIZE, 4)
    mapper.end()


def uses_them(mount, nodes, name):
    mount.region(name, SIZE)
    with open(mount.file(name), "r+b") as f:
        f.write(os.urandom(SIZE))
        os.fsync(f.fileno())
    expect(mount.stats(name)["region_nodes"] == len(nodes), "a new file is not on all nodes")


def main(test):
    nodes = [Node(test, "200M", name="node%d" % i) for i in range(4)]
    mount = Mount(test, nodes[:1])
    takes_nodes(test, mount, nodes)
    uses_them(mount, nodes, "new")
    mount.kill_worker()
    uses_them(mount, nodes, "newer")
    add(test, mount, nodes[1].address)
    add(test, mount, "127.0.0.1:1", status=1)
    expect(mount.stats()["restarts"] == len(nodes), "there were %d workers more", mount.stats()["restarts"])


if __name__ == "__main__":
    sys.exit(lab.main(main))
