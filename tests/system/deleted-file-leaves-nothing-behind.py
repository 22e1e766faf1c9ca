#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file that was read and deleted takes the chunks that were fetched of it along: what is read
later, also by a file in its place, is that file's own, and the worker that serves it lives."""

import os

import lab
from lab import expect, wait_for
from remote import Mount, Node

CHUNK = 128 << 10
CHUNKS = 32


def read_some(path):
    with open(path, "rb", buffering=0) as f:
        for chunk in range(CHUNKS):
            os.pread(f.fileno(), 4096, chunk * CHUNK)


def test(l):
    node = Node(l, "96M")
    mount = Mount(l, [node])
    worker = mount.worker()
    free = os.statvfs(mount.path).f_ffree
    for seed in range(4):
        region = mount.region("ram", CHUNKS * CHUNK)
        l.write(region, 0, CHUNKS * CHUNK, seed)
        read_some(region)
        l.check(region, 0, CHUNKS * CHUNK, seed)
        os.unlink(region)
        # So that the kernel forgets it, and its place is free.
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("2\n")
        wait_for("its entry is free", lambda: os.statvfs(mount.path).f_ffree == free)
    expect(mount.worker() == worker, "the worker died:\n%s", mount.log())


lab.main(test)
