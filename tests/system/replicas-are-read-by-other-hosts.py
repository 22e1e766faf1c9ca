#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Of a region with two replicas another host reads what was acknowledged: also while the writer does without a node that
hangs, and when that node is back with what it had. After the loss of the writer's host, the region is attached without its
index if one replica is known to have everything, and refused with the reason if not."""

import errno
import os
import signal
import sys

import lab
from lab import children, expect, wait_for
from remote import Mount, Node, open_error

MIB = 1 << 20
SIZE = 8 * MIB


def lose(mount):
    for pid in [mount.process.pid, *children(mount.process.pid)]:
        os.kill(pid, signal.SIGKILL)


def beside_the_writer(test, one, two, node):
    path = one.file("ram")
    there = two.file("ram")
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 2)
    os.fsync(writer)
    test.check(there, 0, SIZE, 2)
    node.stop()
    try:
        test.write(path, 0, SIZE, 3)
        os.fsync(writer)
        test.check(there, 0, SIZE, 3)
        one.says(r"DEGRADED: of 512/512 of its chunks")  # also of what is not written
    finally:
        node.go_on()
    # It answers again, with what it had.
    test.check(there, 0, SIZE, 3)
    expect(open_error(there) == errno.EBUSY, "two writers")
    return writer


def main(test):
    nodes = [Node(test, "64M", name="node%d" % i) for i in range(2)]
    one = Mount(test, nodes, "--replicas", "2", name="one")
    two = Mount(test, nodes, "--timeout", "3", name="two")
    path = one.region("ram", SIZE)
    test.write(path, 0, SIZE, 1)
    wait_for("the other host sees the region", lambda: os.path.exists(two.file("ram")), 15)
    test.check(two.file("ram"), 0, SIZE, 1)

    writer = beside_the_writer(test, one, two, nodes[0])
    # It is left out again. The other node has all of it, and knows that it is alone.
    nodes[0].stop()
    try:
        test.write(path, 0, SIZE, 5)
        os.fsync(writer)
        # A slot that nobody writes to keeps its view for some seconds more.
        wait_for("it is left out of all", lambda: one.stats("ram")["slots_degraded"] == 512, 20)
        lose(one)
        os.close(writer)
        wait_for("another host attaches", lambda: open_error(two.file("ram")) == 0, 30)
        test.check(two.file("ram"), 0, SIZE, 5)
    finally:
        nodes[0].go_on()
    test.check(two.file("ram"), 0, SIZE, 5)

    # Of a region that both have, one node cannot say whether the other was written to alone.
    three = Mount(test, [*nodes, Node(test, "64M", name="node2")], "--replicas", "2", "--timeout", "3", name="three")
    path = three.region("both", SIZE)
    test.write(path, 0, SIZE, 4)
    nodes[1].stop()
    try:
        found = open_error(path)
        expect(found == errno.EIO, "opened beside a silent node: %s", found)
        three.says("not known who has what was written last")
        try:
            with open(path, "rb", buffering=0) as f:
                while f.read(128 << 10):
                    pass
            expect(False, "all of it was read beside a silent node")
        except OSError as why:
            expect(why.errno in (errno.EIO, errno.ETIMEDOUT), "read beside a silent node: %s", why)
    finally:
        nodes[1].go_on()
    wait_for("it can be opened", lambda: open_error(path) == 0, 10)
    test.check(path, 0, SIZE, 4)
    had = nodes[1].stats()["regions"]
    nodes[1].stop()
    try:
        try:
            os.truncate(path, 2 * SIZE)
            expect(False, "its size was changed without a node")
        except OSError as why:
            test.log("truncate without a node: %s", why)
        os.unlink(path)
        three.says("deleted, but node .* keeps its part", 30)
    finally:
        nodes[1].go_on()
    # It may have been sent that already; else whoever looks for names finds what is left of others.
    wait_for("the node's part is removed", lambda: not os.path.exists(path) and nodes[1].stats()["regions"] < had, 30)


if __name__ == "__main__":
    sys.exit(lab.main(main))
