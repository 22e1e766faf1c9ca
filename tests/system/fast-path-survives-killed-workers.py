#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that serves the fast path is killed again and again under a torture that its budget
keeps evicting, while that budget changes; an ordinary program, which got the fast path by the
preloaded library, notices a pause and nothing else."""

import time

import lab
from lab import expect, features, program, skip
from remote import Mount, Node
from torture import Torture

MIB = 1 << 20
REGION = 64 * MIB
KILLS = 10


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    nodes = [Node(l, "96M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    mount.region("ram", REGION)
    mount.budget("ram", REGION // 4)
    torture = Torture(l, mount, "ram", "--alone", "--threads", "6",
                      env={"LD_PRELOAD": program("libgvm-preload.so")})
    mount.says(r"maps it through the fast path")
    kills = 0
    while torture.running() and kills < KILLS:
        mount.kill_worker()
        kills += 1
        mount.budget("ram", REGION // 8 if kills % 2 else REGION // 3)
        time.sleep(0.8)
    torture.passes()
    mount.drained("ram")
    stats = mount.stats()
    expect(stats["restarts"] >= kills, "%d restarts are counted after %d kills",
           stats["restarts"], kills)
    expect(stats["evictions"] > REGION // (MIB // 8), "only %d evictions", stats["evictions"])
    torture.is_seen_by_another_mount(nodes)


lab.main(test)
