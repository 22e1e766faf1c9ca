#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the nodes cannot promise is refused when a region gets its size (ENOSPC), and leaves nothing
behind; what was promised before can be written to the last page, with content that no compression
shrinks."""

import errno
import os

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20


def size(path, length):
    """0 or the errno of ftruncate()."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(fd, length)
        return 0
    except OSError as why:
        return why.errno
    finally:
        os.close(fd)


def test(l):
    nodes = [Node(l, "64M"), Node(l, "64M")]
    mount = Mount(l, nodes)
    found = size(mount.file("large"), 256 * MIB)
    expect(found == errno.ENOSPC, "256 MiB on nodes of 128: %s", found)
    os.unlink(mount.file("large"))
    free = os.statvfs(mount.path)
    free_bytes = free.f_bavail * free.f_frsize
    expect(64 * MIB < free_bytes <= 128 * MIB, "statfs says %d MiB are free", free_bytes >> 20)
    # As much as there is, in steps; then not one more.
    promised = []
    while size(mount.file("part-%d" % len(promised)), 16 * MIB) == 0:
        promised.append(mount.file("part-%d" % len(promised)))
        expect(len(promised) <= 8, "more was promised than there is")
    expect(len(promised) >= 6, "only %d times 16 MiB fit in 128", len(promised))
    for path in promised:
        l.run("dd", "if=/dev/urandom", "of=" + path, "bs=1M", "count=16", "conv=notrunc,fsync")
    expect(size(promised[0], 64 * MIB) == errno.ENOSPC, "growing a region beyond what there is")
    expect(os.stat(promised[0]).st_size == 16 * MIB, "a refused resize changed the size")
    # Deleting gives the promise back.
    os.unlink(promised[0])
    expect(size(mount.file("again"), 16 * MIB) == 0, "what a deleted region had is not free again")


lab.main(test)
