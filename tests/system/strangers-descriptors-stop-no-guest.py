#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user without any right sends descriptors of his own filesystem, which does not answer, to the socket of
the fast path. The guests are served meanwhile, others come to the fast path, a worker that is killed is
replaced, so is whatever receives clients, and the mount ends."""

import os
import signal

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node
from startup import open_device, serving
from stranger import OTHERS, USER, Stranger

MIB = 1 << 20
ROUND = 4 * MIB


def named(*names):
    """Processes of the mount with such a name in ps: below this one, who adopts orphans."""
    return [pid for pid, name in lab.descendants().items() if name in names]


def uninterruptible(pid):
    """What of a process waits and cannot be killed."""
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, task)) as f:
                if f.read().rpartition(")")[2].split()[0] == "D":
                    found.append(task)
    except OSError:
        pass  # it has ended meanwhile
    return found


def goes_on(l, mount, honest, what):
    honest.do("check", 0, ROUND, 1)
    late = Mapper(l, mount.region(what, MIB))
    late.process.says("uffd")
    late.do("fill", 0, MIB, 2)
    mount.kill_worker()
    honest.do("check", 0, ROUND, 1)
    late.do("check", 0, MIB, 2)
    late.end()
    mount.drained(what)


def replaced(l, mount, honest, name, what):
    """The processes of that name are killed; guests go on, and new ones come."""
    old = wait_for("there is a " + name, lambda: named(name))
    for pid in old:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was about to end
    if name == "gvmfs-door":
        wait_for("another door", lambda: set(named(name)) - set(old))
    goes_on(l, mount, honest, what)


def test(l):
    open_device(l)
    node = Node(l, "256M")
    mount = Mount(l, [node])
    region = mount.region("ram", 64 * MIB)
    honest = Mapper(l, region)
    honest.do("fill", 0, ROUND, 1)
    mount.budget("ram", 2 * MIB)  # so that each round faults
    for pid in serving(mount.path):
        expect(not uninterruptible(pid), "process %d waits before anything was done", pid)

    strangers = []
    for user, means, count in ((USER, "queued", 1), (OTHERS[0], "hello", 100),
                               (OTHERS[1], "beside", 20)):
        stranger = Stranger(l, region, means, count, user)
        strangers.append(stranger)
        wait_for("somebody waits for his filesystem", lambda: "waits" in stranger.server.log())
        expect(not uninterruptible(mount.worker()), "it is the worker")
        expect(not uninterruptible(mount.process.pid), "it is the supervisor")
        goes_on(l, mount, honest, means)
    held_up = [pid for pid in named("gvmfs-visitor", "gvmfs-release") if uninterruptible(pid)]
    expect(held_up, "nobody waits for his filesystem any more")
    expect(len(held_up) < 40, "%d processes wait, with a share of 16 for each user", len(held_up))

    replaced(l, mount, honest, "gvmfs-door", "after-door")
    replaced(l, mount, honest, "gvmfs-visitor", "after-visitor")

    # The one whose process was killed ends as any other.
    honest.end()
    mount.drained("ram")
    l.check(region, 0, ROUND, 1)
    mount.unmount()
    for stranger in strangers:
        stranger.end()
    wait_for("nothing is left", lambda: not serving(mount.path) and
             not named("gvmfs-door", "gvmfs-visitor", "gvmfs-release"))


lab.main(test)
