#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""fio stores to a mapped region at random, in a memory cgroup that holds a part of it, and finds what it
stored: below the budget, and again after a remount."""

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
SIZE = 80 * MIB
BUDGET = 48 * MIB


def fio(l, path, group, *options):
    return l.start("fio", "fio", "--name=mapped", "--filename=" + path, "--ioengine=mmap", "--rw=randwrite",
                   "--bs=4k", "--size=%d" % SIZE, "--verify=crc32c", "--verify_fatal=1", "--randseed=7",
                   "--allrandrepeat=1", "--fallocate=none", "--thread", "--io_size=%d" % (SIZE * 3 // 4),
                   "--norandommap=0", "--aux-path=" + l.folder, *options, cgroup=group)


def test(l):
    group = l.cgroup(BUDGET)
    node = Node(l, "256M")
    mount = Mount(l, [node])
    path = mount.region("ram", SIZE)
    fio(l, path, group, "--do_verify=1").succeed(150)
    expect(group.oom_kills() == 0, "fio was killed for want of memory")
    stats = mount.stats("ram")
    expect(stats["write_bytes"] >= SIZE // 2, "only %d bytes were written back", stats["write_bytes"])
    mount.unmount()
    mount = Mount(l, [node])
    fio(l, mount.file("ram"), group, "--verify_only=1").succeed(150)


lab.main(test)
