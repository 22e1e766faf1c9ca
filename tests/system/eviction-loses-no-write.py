#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes and threads change a mapped region in every way, four times as large as the memory
that they may use; nothing is lost, and another mount finds all of it too."""

import lab
from lab import expect
from remote import Mount, Node
from torture import Torture

MIB = 1 << 20
REGION = 96 * MIB
BUDGET = REGION // 4
PROGRAM = 12 * MIB  # torture itself: stacks, shadow, page tables


def test(l):
    nodes = [Node(l, "128M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    mount.region("ram", REGION)
    group = l.cgroup(BUDGET + PROGRAM)
    torture = Torture(l, mount, "ram", "--processes", "2", "--threads", "3", cgroup=group)
    torture.passes()
    stats = mount.stats()
    expect(group.oom_kills() == 0, "the group ran out of memory")
    # Evictions happened: more came from the nodes than the region holds, and more went there.
    expect(stats["read_bytes"] > REGION, "only %d MiB were read", stats["read_bytes"] >> 20)
    expect(stats["write_bytes"] > REGION, "only %d MiB were written", stats["write_bytes"] >> 20)
    expect(stats.get("io_errors", 0) == 0, "there were I/O errors")
    torture.is_seen_by_another_mount(nodes)
    for node in nodes:
        expect(node.stats()["bad_frames"] == 0, "a node saw bad frames")


lab.main(test)
