#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections that are reset in the midst of reads and writes are set up again, and nothing of
either is lost."""

import time

import lab
from lab import expect, program
from remote import Mount, Node

MIB = 1 << 20
REGION = 48 * MIB


def test(l):
    nodes = [Node(l, "96M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    region = mount.region("ram", REGION)
    group = l.cgroup(REGION // 3 + 12 * MIB)
    torture = l.start("torture", program("torture"), "--file", region, "--disk", l.path("disk"),
                      "--seconds", "9", "--processes", "2", "--threads", "2", cgroup=group)
    turn = 0
    while torture.running():
        l.network.reset(nodes[turn % 2].port)
        time.sleep(0.2)
        l.network.heal()
        time.sleep(1)
        turn += 1
    expect(turn >= 3, "only %d connections were reset", turn)
    l.log("%s", torture.succeed(50).splitlines()[0])
    expect("io_errors" not in mount.stats() or mount.stats()["io_errors"] == 0, "I/O errors")


lab.main(test)
