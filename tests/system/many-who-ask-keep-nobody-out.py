#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that connects to the fast path's socket again and again, with a file that is none of the mount's or with
nonsense, is answered a few times a second only, since each answer costs a process. Other programs are let in
meanwhile as ever, of other users and of its own."""

import time

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import USER, Stranger

MIB = 1 << 20
SECONDS = 4
AT_ONCE, A_SECOND = 16, 8


def answered(stranger):
    said = [line.split() for line in stranger.process.log().splitlines() if line.startswith("answered")]
    expect(said, "it was not answered, nor did it count")
    return int(said[-1][1])


def test(l):
    open_device(l)
    mount = Mount(l, [Node(l, "256M")])
    region = mount.region("ram", 16 * MIB)
    for means in ("asks", "nonsense"):
        for user in (USER, 0):
            began = time.monotonic()
            stranger = Stranger(l, region, means, 200, user)
            for n in range(4):
                name = "%s-%d-%d" % (means, user, n)
                late = Mapper(l, mount.region(name, MIB))
                late.process.says("uffd")
                late.do("fill", 0, MIB, n)
                late.end()
            time.sleep(max(0.0, began + SECONDS - time.monotonic()))
            expect(stranger.process.running(), "the stranger has ended: %s", stranger.process.log())
            if means == "asks":
                answers = answered(stranger)
                at_most = AT_ONCE + A_SECOND * (time.monotonic() - began) + 1
                expect(answers <= at_most, "%d answers, not %d", answers, at_most)
            stranger.end()


lab.main(test)
