#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""While a region is on the fast path, its page cache holds no old bytes for long. A program that opened the
file for direct reads before and maps it then ends with SIGBUS; one that opens it now cannot map it shared, and
a private mapping follows within moments, as do copies by sendfile() and copy_file_range(). Where a program has
the file mapped before, the fast path is refused with the reason. Once it has ended, mappings show all."""

import mmap
import os
import shutil
import signal
import subprocess
import sys

import lab
from access import content
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 8 * MIB
MAPS = """
import mmap, os, sys
fd, flags = int(sys.argv[1]), int(sys.argv[2])
try:
    view = mmap.mmap(fd, %d, flags, mmap.PROT_READ)
except OSError as why:
    sys.exit(why.strerror)
os.write(1, view[%d:%d])
""" % (SIZE, MIB, 2 * MIB)


def mapped(fd, flags):
    """Status and what a process of its own sees that maps an open file."""
    done = subprocess.run([sys.executable, "-c", MAPS, str(fd), str(flags)], pass_fds=[fd], timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout


def refused(before, after):
    for flags in mmap.MAP_SHARED, mmap.MAP_PRIVATE:
        status, _ = mapped(before, flags)
        expect(status == -signal.SIGBUS, "a mapping of what was opened before: status %d", status)
    status, _ = mapped(after, mmap.MAP_SHARED)
    expect(status == 1, "a shared mapping of what was opened since: status %d", status)


def copied(copy, region, to):
    copy(region, to)
    with open(to, "rb") as f:
        f.seek(MIB)
        return f.read(MIB)


def copies(l, mount, region, seed):
    expected = content(MIB, MIB, seed)
    beside = mount.file("copy")
    for name, copy in (("copyfile", shutil.copyfile),
                       ("cp", lambda a, b: l.run("cp", a, b)),
                       ("dd", lambda a, b: l.run("dd", "if=" + a, "of=" + b, "bs=1M", "conv=notrunc"))):
        for to in (l.path("copy"), beside):
            wait_for("%s to %s has what the client stored" % (name, to),
                     lambda: copied(copy, region, to) == expected)


def during(l, mount):
    region = mount.region("ram", SIZE)
    l.write(region, 0, SIZE, 9)
    client = Mapper(l, region, waits=False, WRITES_FIRST="1")
    before = os.open(region, os.O_RDONLY | os.O_DIRECT)
    print("go", file=client.pipe)
    client.process.says("uffd")
    client.process.says("^mapped")
    at = mmap.mmap(-1, MIB)
    for seed in 1, 2, 3:
        client.do("fill", MIB, MIB, seed)
        after = os.open(region, os.O_RDONLY)
        refused(before, after)
        with mmap.mmap(after, SIZE, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
            sum(view[MIB:2 * MIB:4096])  # brings pages in
            client.do("fill", MIB, MIB, seed + 10)
            wait_for("a private mapping shows the client's memory",
                     lambda: view[MIB:2 * MIB] == content(MIB, MIB, seed + 10))
            client.do("fill", MIB, MIB, seed)
        copies(l, mount, region, seed)
        os.preadv(before, [at], MIB)
        expect(at[:] == content(MIB, MIB, seed), "a direct read shows other than what is stored")
        os.close(after)
    expect("while the fast path changes it" in mount.log(), "gvmfs does not say why")
    client.end()
    mount.drained("ram")
    for flags in mmap.MAP_SHARED, mmap.MAP_PRIVATE:
        status, seen = mapped(before, flags)
        expect(status == 0 and seen == content(MIB, MIB, 3), "after it, a mapping is wrong (status %d)", status)
    os.close(before)


def mapped_before(l, mount):
    region = mount.region("other", SIZE)
    client = Mapper(l, region, waits=False, WRITES_FIRST="1")
    fd = os.open(region, os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ) as view:
        expect(view[MIB:MIB + 9] == bytes(9), "not zeros")
        print("go", file=client.pipe)
        client.process.says("fuse, since.*mapped")
        client.process.says("^mapped")
        client.do("fill", MIB, MIB, 4)
        expect(view[MIB:2 * MIB] == content(MIB, MIB, 4), "a mapping does not show the client's")
    client.end()
    os.close(fd)


def test(l):
    node = Node(l, "64M")
    mount = Mount(l, [node])
    during(l, mount)
    mapped_before(l, mount)


lab.main(test)
