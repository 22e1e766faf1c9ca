#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that serves the mount is killed again and again under a torture that its users' small
memory keeps evicting; they notice a pause and nothing else. Nor do they wait for the process that closes
what a worker leaves, which here does so at the end only."""

import os
import signal
import time

import lab
from lab import children, expect, features, skip, wait_for
from remote import Mount, Node
from torture import Torture

MIB = 1 << 20
REGION = 64 * MIB
KILLS = 8


def stop_closer(worker):
    closer = wait_for("the worker has a closer",
                      lambda: [pid for pid, name in children(worker).items() if name == "gvmfs-closer"])[0]
    os.kill(closer, signal.SIGSTOP)
    return closer


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    nodes = [Node(l, "96M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    mount.region("ram", REGION)
    group = l.cgroup(REGION // 4 + 12 * MIB)
    torture = Torture(l, mount, "ram", "--processes", "2", "--threads", "3", cgroup=group)
    kills, closers = 0, []
    while torture.running() and kills < KILLS:
        closers.append(stop_closer(mount.worker()))
        mount.kill_worker()
        kills += 1
        mount.served_again(kills)  # or the next one would be killed before it counts
        time.sleep(1)
    torture.passes()
    stats = mount.stats()
    expect(stats["restarts"] >= kills, "%d restarts are counted after %d kills",
           stats["restarts"], kills)
    expect(set(closers) <= set(lab.descendants()), "a closer ended while it was stopped")
    for pid in closers:
        os.kill(pid, signal.SIGCONT)
    wait_for("none of them is left", lambda: not set(closers) & set(lab.descendants()))
    expect(group.oom_kills() == 0, "the group ran out of memory")
    torture.is_seen_by_another_mount(nodes)


lab.main(test)
