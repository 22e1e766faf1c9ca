#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel fetches around a fault follows who reads: little while faults come from anywhere, far ahead for a
program that goes through its memory in order, and little again after that, also when the worker was replaced in
between, which knows nothing of it."""

import mmap
import os
import random

import lab
from lab import expect, wait_for
from remote import Mount, Node

PAGE = mmap.PAGESIZE
SIZE = 128 << 20
TOUCHED = 1200


class Reader:
    """Reads a region through a mapping, as a guest does."""

    def __init__(self, mount, name):
        self.mount, self.name = mount, name
        self.fd = os.open(mount.file(name), os.O_RDWR)

    def reads(self, pages):
        """Touches these pages of the file, of which the page cache has none: READs that came, and their bytes."""
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        before = self.mount.stats(self.name)
        with mmap.mmap(self.fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            for page in pages:
                expect(memory[page * PAGE] == page % 251 + 1, "page %d has other content", page)
        after = self.mount.stats(self.name)
        return [after[what] - before[what] for what in ("reads", "read_bytes")]

    def anywhere(self):
        """Bytes fetched for a page touched, in pages."""
        return self.reads(random.sample(range(SIZE // PAGE), TOUCHED))[1] / (TOUCHED * PAGE)

    def in_order(self):
        """Bytes of a READ."""
        reads, nbytes = self.reads(range(SIZE // PAGE))
        return nbytes / reads


def setting(mount):
    device = os.stat(mount.path).st_dev
    return "/sys/class/bdi/%d:%d/read_ahead_kb" % (os.major(device), os.minor(device))


def test(l):
    node = Node(l, "512M")
    mount = Mount(l, [node])
    mount.region("ram", SIZE)
    with open(mount.file("ram"), "r+b") as f:
        for page in range(SIZE // PAGE):
            f.write(bytes([page % 251 + 1]) + os.urandom(63) + bytes(PAGE - 64))
    reader = Reader(mount, "ram")
    for round in ("first", "second", "after a worker's death"):
        # A process of its own sets how much it is, which may come too late for one reading.
        anywhere = lab.best(reader.anywhere, lambda pages: pages < 12)
        l.log("%s: %.1f pages fetched for each that was touched", round, anywhere)
        expect(anywhere < 12, "%s: %.1f pages were fetched for each that was touched", round, anywhere)
        in_order = lab.best(reader.in_order, lambda nbytes: nbytes > 64 << 10)
        l.log("%s: a READ in order has %d bytes", round, in_order)
        expect(in_order > 64 << 10, "%s: a READ in order has %d bytes", round, in_order)
        if round == "second":
            # As if the helper, too, had been killed, while it was about to widen.
            with open(setting(mount), "w") as f:
                f.write("1024")
            mount.kill_worker()
            wait_for("the mount's setting is back", lambda: int(open(setting(mount)).read()) < 128, 20)
    os.close(reader.fd)


lab.main(test)
