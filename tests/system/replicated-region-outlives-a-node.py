#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region with two replicas goes on when one of its nodes dies, hangs or begins anew: what was written is read, what is
written is stored, in both modes, and a worker that is killed then changes nothing."""

import os
import sys
import time

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 32 * MIB


def stall(act):
    """How long it took."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def mapped(test, mount, nodes):
    path = mount.region("mapped", SIZE)
    mapper = Mapper(test, path)
    mount.budget("mapped", SIZE // 4)
    mapper.do("fill", 0, SIZE, 3)
    mapper.do("check", 0, SIZE, 3)
    nodes[1].kill()
    test.log("fast path, a node killed: %.2f s for all of it", stall(lambda: mapper.do("check", 0, SIZE, 3)))
    mapper.do("fill", 0, SIZE, 4)
    mapper.do("check", 0, SIZE, 4)
    mount.kill_worker()
    mapper.do("check", 0, SIZE, 4)
    mapper.end()
    mount.drained("mapped")
    nodes[1].start()


def main(test):
    nodes = [Node(test, "256M", name="node%d" % i) for i in range(3)]
    mount = Mount(test, nodes, "--replicas", "2")
    path = mount.region("file", SIZE)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 1)
    nodes[0].kill()
    test.log("a node killed: %.2f s to read all", stall(lambda: test.check(path, 0, SIZE, 1)))
    test.write(path, 0, SIZE // 2, 2)
    test.check(path, 0, SIZE // 2, 2)
    test.check(path, SIZE // 2, SIZE // 2, 1)
    mount.kill_worker()
    test.check(path, 0, SIZE // 2, 2)
    test.check(path, SIZE // 2, SIZE // 2, 1)
    expect("DEGRADED" in mount.log(), "it does not say that copies are missing:\n%s", mount.log())
    os.close(writer)
    nodes[0].start()
    mapped(test, mount, nodes)


if __name__ == "__main__":
    sys.exit(lab.main(main))
