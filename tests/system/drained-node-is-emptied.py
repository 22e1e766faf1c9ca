#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node that is drained has of a region with one copy, or with two, moves to other nodes while a program writes and checks
its pages, also if the worker is killed in the middle. Afterwards nobody needs the node, which gets nothing new until it is told so.
A drain that is called off leaves everything right, and so does the end of the writer in the middle of a move."""

import os
import sys

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE, LARGE = 48 * MIB, 144 * MIB
OPTIONS = "--repair-after", "5", "--repair-rate", "3"


def copying(mount, name):
    wait_for("it moves", lambda: mount.stats(name).get("drain_chunks"), 30)


def whole(mount, name):
    wait_for("each chunk has its copies", lambda: not mount.stats(name)["slots_degraded"], 60)


def fill(mount, mapper, name, seed, size=SIZE):
    """And has it on the nodes, as far as it does not fit here."""
    mapper.do("fill", 0, size, seed)
    if mount.stats(name)["fast"]:
        return
    fd = os.open(mount.file(name), os.O_RDWR)
    os.fsync(fd)
    os.close(fd)


def drain(test, node):
    return test.start("drain", program("gvm"), "node", "drain", node.address)


def beside_a_program(test, mount, node, mode, kill):
    name = "drained-" + mode
    mapper = Mapper(test, mount.region(name, SIZE), mode)
    if mode == "auto":
        mount.budget(name, SIZE // 4)
    fill(mount, mapper, name, 3)
    expect(node.stats()["regions"], "the node has nothing of it")
    mapper.ask("churn", 0, SIZE, 8)
    drained = drain(test, node)
    copying(mount, name)
    if kill:
        mount.kill_worker()
    drained.says("empty", 120)
    drained.succeed(10)
    mapper.answer(60)
    whole(mount, name)
    mount.region("new", MIB)
    expect(not node.stats()["regions"], "a node that is drained gets a new region")
    os.unlink(mount.file("new"))
    node.kill()
    mapper.do("fill", 0, SIZE // 2, 4)
    mapper.do("check", 0, SIZE // 2, 4)
    mapper.end()
    os.unlink(mount.file(name))
    node.start()


def called_off(test, mount, node):
    """(It is drained no more, as it began anew.) Long before all of it could have moved, at that rate."""
    mapper = Mapper(test, mount.region("stays", LARGE), "fuse")
    fill(mount, mapper, "stays", 5, LARGE)
    had = node.stats()["chunks"]
    expect(had, "a node that began anew gets nothing")
    drained = drain(test, node)
    copying(mount, "stays")
    drained.signal(2)
    drained.wait(10)
    test.run(program("gvm"), "node", "undrain", node.address)
    wait_for("the move ends", lambda: not mount.stats("stays")["drain_chunks"], 30)
    whole(mount, "stays")
    expect(node.stats()["chunks"] >= had, "it has moved all the same")
    mapper.do("fill", 0, LARGE, 6)
    mapper.do("check", 0, LARGE, 6)
    mapper.end()
    os.unlink(mount.file("stays"))


def is_given_regions(mount, node):
    os.close(os.open(mount.region("probe", MIB), os.O_RDWR))
    given = node.stats()["regions"]
    os.unlink(mount.file("probe"))
    return given


def closed_in_between(test, mount, nodes):
    """The node that was to get a part promises nothing for it any more."""
    drain(test, nodes[3]).says("empty", 60)
    path = mount.region("closed", SIZE)
    fd = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 7)
    test.run(program("gvm"), "node", "undrain", nodes[3].address)
    expect(not nodes[3].stats()["regions"], "a node that is drained gets a new region")
    wait_for("the mount knows that it is drained no more", lambda: is_given_regions(mount, nodes[3]), pause=0.3)
    drained = drain(test, nodes[0])
    wait_for("a part moves to the node without one", lambda: nodes[3].stats()["chunks"], 30)
    os.close(fd)
    wait_for("it promises nothing any more", lambda: not nodes[3].stats()["reserved_bytes"], 30)
    drained.signal(2)
    drained.wait(10)
    test.run(program("gvm"), "node", "undrain", nodes[0].address)
    test.check(path, 0, SIZE, 7)
    os.unlink(path)


def main(test):
    nodes = [Node(test, "300M", name="node%d" % i) for i in range(4)]
    mount = Mount(test, nodes, "--replicas", "2", *OPTIONS)
    beside_a_program(test, mount, nodes[0], "auto", kill=False)
    beside_a_program(test, mount, nodes[1], "fuse", kill=True)
    called_off(test, mount, nodes[0])
    closed_in_between(test, mount, nodes)
    mount.unmount()
    mount = Mount(test, nodes, *OPTIONS, name="single")
    beside_a_program(test, mount, nodes[0], "fuse", kill=False)
    beside_a_program(test, mount, nodes[1], "auto", kill=True)
    called_off(test, mount, nodes[0])
    closed_in_between(test, mount, nodes)


if __name__ == "__main__":
    sys.exit(lab.main(main))
