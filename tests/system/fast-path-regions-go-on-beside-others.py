#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions on the fast path whose node does not answer wait, and do not hold up others: not one on
another node that has to evict, nor a new client, nor a worker that is killed while a new client's file
is being flushed. When the node is back they all go on. A client that is killed at any moment leaves
what it had written."""

import signal

import lab
from lab import expect, features, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 8 * MIB
BUDGET = 2 * MIB


def test(l):
    near, far = Node(l, "64M"), Node(l, "128M")
    mount = Mount(l, [near])
    own = mount.region("own", SIZE)
    mount.unmount()
    mount = Mount(l, [far], name="makes")
    for number in range(5):
        mount.region("far-%d" % number, SIZE)
    mount.unmount()
    mount = Mount(l, [near, far])
    own = mount.file("own")
    mount.budget("own", BUDGET)
    client = Mapper(l, own)
    client.do("fill", 0, SIZE, 1)
    others = []
    for number in range(4):
        mount.budget("far-%d" % number, BUDGET)
        others.append(Mapper(l, mount.file("far-%d" % number)))
        others[-1].do("fill", 0, SIZE, number + 2)

    late = Mapper(l, mount.file("far-4"), waits=False, WRITES_FIRST="1")
    far.stop()
    for number, other in enumerate(others):
        other.ask("fill", 0, SIZE, number + 10)
    for seed in (20, 21):
        client.do("fill", 0, SIZE, seed, seconds=60)
        client.do("check", 0, SIZE, seed, seconds=60)
    # What the last one has written cannot be flushed now.
    print("begin", file=late.pipe)
    staged = wait_for("the last one has written", lambda: mount.stats("far-4")["staged_chunks"])
    expect(staged == 1, "%d chunks are to be flushed", staged)
    if features.fuse_resend():
        mount.kill_worker()
    client.do("fill", 0, SIZE, 22, seconds=60)

    far.go_on()
    for number, other in enumerate(others):
        other.answer(60)
        other.do("check", 0, SIZE, number + 10, seconds=60)
    late.process.says("^mapped", 60)
    late.do("check", 0, 4 * 4096, 5)
    late.do("fill", 0, SIZE, 7, seconds=60)
    late.do("check", 0, SIZE, 7, seconds=60)
    client.do("check", 0, SIZE, 22, seconds=60)

    # Killed in the middle, again and again.
    for seed in range(30, 36):
        client.do("fill", 0, SIZE, seed)
        client.ask("fill", 0, SIZE // 2, seed + 100)
        client.process.signal(signal.SIGKILL)
        client.process.wait(10)
        client = Mapper(l, own)
        client.do("check", SIZE // 2, SIZE // 2, seed)
    client.end()
    for end in others + [late]:
        end.end()
    for name in ["own"] + ["far-%d" % number for number in range(5)]:
        mount.drained(name)


lab.main(test)
