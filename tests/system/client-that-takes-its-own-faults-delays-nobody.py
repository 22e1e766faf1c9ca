#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that reads its own userfaultfd, whose reads it makes wait, keeps no other waiting: neither on
this kernel nor by the way that is gone on one that knows no read which never waits (before 6.10)."""

import os
import signal
import time

import lab
from lab import program
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SECONDS = 2


def test(l):
    node = Node(l, "256M")
    for mutant in (None, "no-nowait"):
        mount = Mount(l, [node], mutant=mutant)
        names = ["%s-%s" % (name, mutant) for name in ("honest", "taken", "late")]
        honest = Mapper(l, mount.region(names[0], 16 * MIB))
        honest.do("fill", 0, 8 * MIB, 1)
        mount.budget(names[0], 2 * MIB)
        taken = mount.region(names[1], 64 * MIB)
        taker = l.start("taker", program("taker"), os.getxattr(taken, "user.gvm.attach").decode(), taken,
                        str(64 * MIB))
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
