#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What another program reads of a mapped region (sha256sum, a copy, a mapping of its own) shows what
was stored there, and does not stay on this host beside what the region's user has there."""

import hashlib
import mmap
import os
import shutil

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
SIZE = 96 * MIB
OWN = 4 * MIB
SLACK = 4 * MIB


def resident(l, path):
    """Bytes of the file in the page cache, without opening it for reading of its data."""
    text = l.run("fincore", "--bytes", "--noheadings", "--output", "RES", path)
    return int(text.split()[0])


def settles(l, path, what):
    wait_for("%s leaves the page cache" % what, lambda: resident(l, path) <= OWN + SLACK, 10)


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    path = mount.region("ram", SIZE)
    content = os.urandom(MIB) * (SIZE // MIB)
    with open(path, "r+b") as f:
        f.write(content)
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    fd = os.open(path, os.O_RDWR)
    memory = mmap.mmap(fd, SIZE)
    for at in range(0, OWN, 4096):
        memory[at:at + 8] = at.to_bytes(8, "little")
    expected = hashlib.sha256(memory[:OWN] + content[OWN:]).hexdigest()
    before = resident(l, path)
    expect(OWN <= before <= OWN + SLACK, "%d bytes are there before", before)

    found = l.run("sha256sum", path).split()[0]
    expect(found == expected, "another program reads something else")
    settles(l, path, "what sha256sum read")
    l.run("cp", "--sparse=always", path, l.path("copy"))
    settles(l, path, "what cp read")
    with open(l.path("copy"), "rb") as f:
        expect(hashlib.sha256(f.read()).hexdigest() == expected, "the copy is not the same")

    # A reader that goes on: it has a window of the file here, not all that it ever read.
    reader = os.open(path, os.O_RDONLY)
    most = 0
    for at in range(0, SIZE, MIB):
        os.pread(reader, MIB, at)
        if at % (8 * MIB) == 0:
            most = max(most, resident(l, path))
    expect(most < SIZE // 2, "a reader has %d bytes here", most)
    with mmap.mmap(reader, SIZE, prot=mmap.PROT_READ) as view:
        expect(hashlib.sha256(view).hexdigest() == expected, "a mapping shows something else")
    os.close(reader)
    settles(l, path, "what a reader had mapped")

    # The user's own pages were none of it, and its stores are there.
    mapped = resident(l, path)
    expect(mapped >= OWN, "the user has only %d bytes left", mapped)
    expect(hashlib.sha256(memory).hexdigest() == expected, "the user sees something else")
    memory.close()
    os.close(fd)
    if shutil.which("qemu-img"):
        l.run("qemu-img", "compare", "-f", "raw", "-F", "raw", path, l.path("copy"))


lab.main(test)
