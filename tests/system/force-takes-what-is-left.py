#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region with two replicas, of which a node that may have what was written last is away, is neither taken from its writer,
who goes on, nor opened on another host, unless by force; that says what may be old. From then on what was left counts."""

import errno
import os
import sys

import lab
from lab import expect, program, wait_for
from remote import Mount, Node, open_error
from startup import kill_whole

MIB = 1 << 20
SIZE = 8 * MIB


def take(test, path, *options):
    """What it says, if it fails."""
    process = test.start("take", program("gvm"), "region", "take", *options, path)
    return "" if process.wait(60) == 0 else process.log()


def main(test):
    nodes = [Node(test, "64M", name="node%d" % i) for i in range(3)]
    one = Mount(test, nodes, "--replicas", "2", "--lease", "1", name="one")
    two = Mount(test, nodes, "--timeout", "3", name="two")
    path = one.region("ram", SIZE)
    wait_for("the other host sees the region", lambda: os.path.exists(two.file("ram")), 15)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 1)
    os.fsync(writer)

    nodes[1].stop()
    try:
        expect("is not taken" in take(test, two.file("ram")), "it was taken beside a silent node")
    finally:
        nodes[1].go_on()
    test.write(path, 0, SIZE, 2)
    os.fsync(writer)

    # Its host is lost, and one of its nodes with it. Each had everything, but nobody knows.
    kill_whole(one.path)
    one.process.wait(10)
    os.close(writer)
    nodes[1].kill()
    wait_for("its lease is over", lambda: open_error(two.file("ram")) == errno.EIO, 30)
    two.says(r"of \d+/512 of its chunks it is not known .*--force", 5)
    expect("is not taken" in take(test, two.file("ram")), "it was taken without a node")
    expect(not take(test, two.file("ram"), "--force"), "it was not taken by force")
    expect(open_error(two.file("ram")) == errno.EIO, "it is opened without force")

    three = Mount(test, nodes, "--timeout", "3", "--force", name="three")
    again = os.open(three.file("ram"), os.O_RDWR)
    test.check(three.file("ram"), 0, SIZE, 2)
    old = int(three.says(r"BY FORCE: of \d+/512 of its chunks .* (\d+) chunks may be old").group(1))
    expect(0 < old < SIZE // (128 << 10), "%d chunks may be old", old)
    test.write(three.file("ram"), 0, SIZE // 2, 3)
    os.fsync(again)
    os.close(again)
    three.unmount()
    wait_for("what was left counts", lambda: open_error(two.file("ram")) == 0, 30)
    test.check(two.file("ram"), 0, SIZE // 2, 3)
    test.check(two.file("ram"), SIZE // 2, SIZE // 2, 2)


if __name__ == "__main__":
    sys.exit(lab.main(main))
