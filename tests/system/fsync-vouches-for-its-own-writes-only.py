#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An fsync of a region on the fast path that returns 0 has what was written before it on the nodes,
also after one that timed out, whose writes are under way still. It ends though its client dies:
with an error when its time is over or, without a limit, when the node answers again."""

import signal

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 4 * MIB
SYS_FSYNC = "74"  # asm/unistd_64.h


def in_fsync(process):
    """Whether it has come to that and waits."""
    with open("/proc/%d/syscall" % process.pid) as f:
        return f.read().split()[0] == SYS_FSYNC


def kill(client):
    client.process.signal(signal.SIGKILL)
    client.process.wait(10)


def vouches(l, node):
    mount = Mount(l, [node], "--timeout", "2")
    region = mount.region("ram", SIZE)
    client = Mapper(l, region)
    client.do("fill", 0, MIB, 2)
    node.stop()
    expect(l.start("sync", "sync", region).wait(15) != 0, "an fsync succeeds without its node")
    client.do("fill", 0, MIB, 3)
    again = l.start("sync", "sync", region)
    wait_for("it is asked for", lambda: in_fsync(again))
    node.go_on()
    again.succeed(15)
    other = Mount(l, [node], name="other")
    l.check(other.file("ram"), 0, MIB, 3)
    other.unmount()

    client.do("fill", 0, MIB, 4)
    node.stop()
    kill(client)
    expect(l.start("sync", "sync", region).wait(15) != 0, "an fsync succeeds without its node")
    node.go_on()
    mount.drained("ram")
    l.check(region, 0, MIB, 4)
    mount.unmount()


def ends(l, node):
    """The client dies while a chunk of which nothing is here yet is fetched for it."""
    mount = Mount(l, [node])
    region = mount.region("late", 4 * SIZE)
    l.write(region, 0, 4 * SIZE, 1)
    client = Mapper(l, region)
    client.do("touch", 0, 4096)
    node.stop()
    client.ask("touch", 2 * SIZE, 4096)
    wait_for("it faults", lambda: mount.stats("late")["faults"] > 1)
    sync = l.start("sync", "sync", region)
    wait_for("the fsync waits", lambda: in_fsync(sync))
    kill(client)
    node.go_on()
    sync.succeed(15)
    mount.drained("late")
    l.check(region, 0, 4 * SIZE, 1)


def test(l):
    node = Node(l, "64M")
    vouches(l, node)
    ends(l, node)


lab.main(test)
