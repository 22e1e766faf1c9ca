#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that reads its own userfaultfd, whose reads it makes wait, keeps no other waiting, and one that only
makes them wait costs no CPU: neither on this kernel nor by the way that is gone on one that knows no read which never
waits (before 6.10)."""

import os
import signal
import sys
import time

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SECONDS = 2


def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def taking(l, region, bytes, *how):
    return l.start("taker", program("taker"), os.getxattr(region, "user.gvm.attach").decode(), region, str(bytes),
                   *how)


def rests(l, mount, name):
    """While somebody else uses up half a second of a CPU, the worker, which has nothing to do, uses none."""
    region = mount.region(name, 16 * MIB)
    taker = taking(l, region, 16 * MIB, "rests")
    taker.says("^rests")
    busy = l.start("busy", sys.executable, "-c", "while True: pass")
    half = os.sysconf("SC_CLK_TCK") // 2
    before = ticks(mount.worker())
    wait_for("half a second of a CPU is used up", lambda: ticks(busy.pid) > half, 60)
    spent = ticks(mount.worker()) - before
    busy.signal(signal.SIGKILL)
    expect(spent < half // 2, "an idle worker took %d ticks, and a busy program %d", spent, half)
    taker.signal(signal.SIGKILL)
    mount.drained(name)


def test(l):
    node = Node(l, "256M")
    for mutant in (None, "no-nowait"):
        mount = Mount(l, [node], mutant=mutant)
        names = ["%s-%s" % (name, mutant) for name in ("honest", "taken", "late", "resting")]
        rests(l, mount, names[3])
        honest = Mapper(l, mount.region(names[0], 16 * MIB))
        honest.do("fill", 0, 8 * MIB, 1)
        mount.budget(names[0], 2 * MIB)
        taken = mount.region(names[1], 64 * MIB)
        taker = taking(l, taken, 64 * MIB)
        taker.says("^takes")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            honest.do("check", 0, 8 * MIB, 1)
        mount.kill_worker()
        honest.do("check", 0, 8 * MIB, 1)
        late = Mapper(l, mount.region(names[2], MIB))
        late.process.says("uffd")
        late.do("fill", 0, MIB, 2)
        late.end()
        taker.signal(signal.SIGKILL)
        mount.drained(names[1])
        honest.end()
        mount.drained(names[0])
        l.check(mount.file(names[0]), 0, 8 * MIB, 1)
        mount.unmount()


lab.main(test)
