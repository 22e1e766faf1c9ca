#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that serves the mount is killed again and again under a torture that its users' small
memory keeps evicting; they notice a pause and nothing else."""

import time

import lab
from lab import expect, features, skip
from remote import Mount, Node
from torture import Torture

MIB = 1 << 20
REGION = 64 * MIB
KILLS = 8


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    nodes = [Node(l, "96M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    mount.region("ram", REGION)
    group = l.cgroup(REGION // 4 + 12 * MIB)
    torture = Torture(l, mount, "ram", "--processes", "2", "--threads", "3", cgroup=group)
    kills = 0
    while torture.running() and kills < KILLS:
        mount.kill_worker()
        kills += 1
        mount.served_again(kills)  # or the next one would be killed before it counts
        time.sleep(1)
    torture.passes()
    stats = mount.stats()
    expect(stats["restarts"] >= kills, "%d restarts are counted after %d kills",
           stats["restarts"], kills)
    expect(group.oom_kills() == 0, "the group ran out of memory")
    torture.is_seen_by_another_mount(nodes)


lab.main(test)
