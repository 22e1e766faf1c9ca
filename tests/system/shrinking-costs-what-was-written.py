#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A very large region of which little was ever written is shrunk, and looked through for data, for as much as there
is of it: neither gvmfs nor a node takes memory for the rest. What was cut off is zeros when the region grows
again, also for a worker that was just started, and can be written again."""

import os

import lab
from lab import expect, wait_for
from remote import Mount, Node

SIZE = 2 << 40
CHUNK = 128 << 10
AT = [0, 5 * CHUNK, 600 << 30, 600 * (1 << 30) + 64 * CHUNK, 1 << 40, SIZE - CHUNK]
MORE = 48 << 20  # bytes; one for each chunk would be 128 MiB at the least


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


def fill(fd, byte):
    for at in AT:
        if at < os.fstat(fd).st_size:
            expect(os.pwrite(fd, bytes([byte]) * 4096, at) == 4096, "a write at %d", at)
    os.fsync(fd)


def data(fd):
    found, at = [], 0
    while True:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return found
        found.append(at)
        at = os.lseek(fd, at, os.SEEK_HOLE)


def test(l):
    nodes = [Node(l, "1400M", "--overcommit", "1000", name="node-%d" % i) for i in range(2)]
    mount = Mount(l, nodes)
    path = mount.region("huge", SIZE)
    fd = os.open(path, os.O_RDWR)
    fill(fd, 1)
    before = [resident(pid) for pid in (mount.worker(), *(node.process.pid for node in nodes))]
    expect(set(AT) <= set(at // CHUNK * CHUNK for at in data(fd)) and len(data(fd)) <= len(AT),
           "data is found at %s", data(fd))
    os.ftruncate(fd, 6 * CHUNK)
    after = [resident(pid) for pid in (mount.worker(), *(node.process.pid for node in nodes))]
    expect(all(a - b < MORE for a, b in zip(after, before)), "memory was taken to shrink it: %s, then %s", before,
           after)
    expect(data(fd) == [0, 5 * CHUNK], "data is left at %s", data(fd))

    os.ftruncate(fd, SIZE)
    mount.kill_worker()
    for at in AT[2:]:
        expect(os.pread(fd, 4096, at) == bytes(4096), "what was cut off is not zeros at %d", at)
    fill(fd, 2)
    os.ftruncate(fd, CHUNK)
    os.ftruncate(fd, SIZE)
    fill(fd, 3)
    os.close(fd)
    other = Mount(l, nodes, name="other")
    wait_for("the other mount shows it", lambda: os.path.exists(other.file("huge")))
    fd = os.open(other.file("huge"), os.O_RDONLY)
    for at in AT:
        expect(os.pread(fd, 4096, at) == b"\3" * 4096, "what was written then is not there at %d", at)
    os.close(fd)


lab.main(test)
