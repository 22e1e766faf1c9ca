#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that ask where a file's holes are copy all of it: what was stored through a mapping and
never synced, beside a writer that goes on, after it has closed, and on the fast path. What was never
written is still a hole."""

import mmap
import os
import random
import shutil

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
CHUNK = 128 << 10
SIZE = 24 * MIB


def plain(l, source):
    """What a program reads that asks for no holes."""
    l.run("dd", "if=" + source, "of=" + l.path("plain"), "bs=1M")
    return l.path("plain")


def copies(l, source):
    folder, name = os.path.split(source)
    to = l.path("copy")

    def copy(*command, made=to):
        if os.path.exists(made):
            os.unlink(made)
        l.run(*command, status=None)
        expect(os.path.exists(made), "%s: nothing was made", command[0])
        return made

    for sparse in ("auto", "always", "never"):
        yield "cp --sparse=" + sparse, copy("cp", "--sparse=" + sparse, source, to)
    yield "cp --reflink=auto", copy("cp", "--reflink=auto", source, to)
    yield "dd conv=sparse", copy("dd", "if=" + source, "of=" + to, "bs=64k", "conv=sparse")
    shutil.rmtree(l.path("out"), ignore_errors=True)
    os.mkdir(l.path("out"))
    copy("tar", "--sparse", "-C", folder, "-cf", l.path("tar"), name, made=l.path("tar"))
    l.run("tar", "-C", l.path("out"), "-xf", l.path("tar"))
    yield "tar --sparse", os.path.join(l.path("out"), name)
    if shutil.which("rsync"):
        yield "rsync -S", copy("rsync", "-S", source, to)
    if shutil.which("qemu-img"):
        yield "qemu-img convert", copy("qemu-img", "convert", "-U", "-f", "raw", "-O", "raw", source, to)
    yield "copy_file_range", copy_range(source, source + "-copied")
    os.unlink(source + "-copied")
    yield "SEEK_DATA", copy_seek(source, to)


def copy_range(source, to):
    with open(source, "rb") as a, open(to, "wb") as b:
        left = os.fstat(a.fileno()).st_size
        while left:
            left -= os.copy_file_range(a.fileno(), b.fileno(), left)
    return to


def extents(fd, size):
    at = 0
    while at < size:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(fd, data, os.SEEK_HOLE)
        yield data, at


def copy_seek(source, to):
    with open(source, "rb") as a, open(to, "wb") as b:
        size = os.fstat(a.fileno()).st_size
        b.truncate(size)
        for begin, end in extents(a.fileno(), size):
            os.pwrite(b.fileno(), os.pread(a.fileno(), end - begin, begin), begin)
    return to


def same_everywhere(l, source, change=None):
    """`change` makes dirty pages anew for each copy."""
    kinds = copies(l, source)
    while True:
        if change:
            change()
        found = next(kinds, None)
        if not found:
            return
        name, made = found
        status = l.run("cmp", plain(l, source), made, status=None)
        expect(not status.strip(), "%s: %s", name, status.strip())


def mapped(l, mount):
    path = mount.file("mapped")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, SIZE)
    memory = mmap.mmap(fd, SIZE)
    source = random.Random(1)
    stored = set()

    def store():
        for _ in range(3):
            at = source.randrange(SIZE // 2 // 4096) * 4096
            memory[at:at + 64] = source.randbytes(64)
            stored.add(at)

    store()
    # A file without a block is one that tar does not even read.
    expect(os.stat(path).st_blocks > 0, "no blocks beside a writer")
    store()
    with open(path, "rb") as f:
        found = list(extents(f.fileno(), SIZE))
    for at in stored:
        expect(any(a <= at < b for a, b in found), "stored at %d, data at %s", at, found)
    expect(found[-1][1] <= SIZE // 2 + CHUNK, "what was never written is data: %s", found)
    same_everywhere(l, path, store)
    store()
    memory.close()
    os.close(fd)
    same_everywhere(l, path)
    os.unlink(path)


def at_rest(l, mount):
    """The first store into a region whose attributes the kernel has just cached."""
    path = mount.region("rest", SIZE)
    os.stat(path)
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, SIZE) as memory:
        memory[5 * MIB:5 * MIB + 5] = b"hello"
        # 1: what is written back for its sake, it takes for a change.
        l.run("tar", "--sparse", "-C", mount.path, "-cf", l.path("tar"), "rest", status=None)
        os.makedirs(l.path("out"), exist_ok=True)
        l.run("tar", "-C", l.path("out"), "-xf", l.path("tar"))
        l.run("cmp", path, l.path("out/rest"))
        memory[9 * MIB:9 * MIB + 5] = b"hello"
    os.close(fd)
    l.run("tar", "--sparse", "-C", mount.path, "-cf", l.path("tar"), "rest")
    l.run("tar", "-C", l.path("out"), "-xf", l.path("tar"))
    l.run("cmp", path, l.path("out/rest"))
    # One without a name: the kernel's dirty pages cannot be asked about, and all of it is data.
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, SIZE) as memory:
        memory[7 * MIB:7 * MIB + 5] = b"seven"
        os.unlink(path)
        with open("/proc/self/fd/%d" % fd, "rb") as f:
            found = list(extents(f.fileno(), SIZE))
            expect(any(a <= 7 * MIB < b for a, b in found), "an unlinked file's data: %s", found)
    os.close(fd)


def fast(l, mount):
    path = mount.region("fast", SIZE)
    mount.budget("fast", 4 * MIB)
    client = Mapper(l, path)
    client.do("fill", 0, 2 * MIB, 1)
    client.do("fill", 10 * MIB, 6 * MIB, 2)
    same_everywhere(l, path)
    client.end()
    mount.drained("fast")
    same_everywhere(l, path)


def killed(l, mount):
    """The successor of a killed worker has the same answer."""
    path = mount.region("killed", SIZE)
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, SIZE) as memory:
        memory[3 * MIB:3 * MIB + 5] = b"three"
        mount.kill_worker()
        l.run("cp", "--sparse=always", path, l.path("copy"))
        l.run("cmp", path, l.path("copy"))
        memory[4 * MIB:4 * MIB + 5] = b"four!"
        l.run("cp", "--sparse=always", path, l.path("copy"))
        l.run("cmp", path, l.path("copy"))
    os.close(fd)


def test(l):
    mount = Mount(l, [Node(l, "192M")])
    for part in (at_rest, mapped, fast, killed):
        l.log("%s", part.__name__)
        part(l, mount)


lab.main(test)
