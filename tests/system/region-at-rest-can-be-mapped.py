#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region that nobody writes can be mapped for reading, shared or private, on several hosts. A writer
that comes later, on this host or another one, is seen by readers that have it
open: at once on its own host, and a moment later elsewhere. What could not be kept true is refused."""

import errno
import mmap
import os
import time

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 8 * MIB


def view(path, flags=mmap.MAP_SHARED):
    fd = os.open(path, os.O_RDONLY)
    try:
        return mmap.mmap(fd, 0, flags, mmap.PROT_READ)
    finally:
        os.close(fd)


def can_be_mapped(path):
    try:
        view(path).close()
        return True
    except OSError:
        return False


def write(path, offset, data):
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, data, offset)
    os.fsync(fd)
    os.close(fd)


def test(l):
    node = Node(l, "96M")
    one, two = Mount(l, [node], name="one"), Mount(l, [node], name="two")
    path, far = one.region("ram", SIZE), two.file("ram")
    content = os.urandom(SIZE)
    write(path, 0, content)
    one.unmount()
    one = Mount(l, [node], name="one")
    path = one.file("ram")
    wait_for("the other host knows the file", lambda: os.path.exists(far))
    # Readers that go on, and writers here and there.
    readers = [os.open(path, os.O_RDONLY), os.open(far, os.O_RDONLY)]
    for round in range(6):
        for number, fd in enumerate(readers):
            wait_for("reader %d sees it" % number, lambda: os.pread(fd, SIZE, 0) == content, 5)
        data = os.urandom(4096)
        content = content[:MIB] + data + content[MIB + 4096:]
        write(far if round % 2 else path, MIB, data)

    # Mappings, and then writers.
    wait_for("it can be mapped", lambda: can_be_mapped(path) and can_be_mapped(far), 5)
    views = [view(path), view(path, mmap.MAP_PRIVATE), view(far), view(far, mmap.MAP_PRIVATE)]
    for number, memory in enumerate(views):
        expect(memory[:] == content, "mapping %d shows something else", number)
    for round in range(4):
        data = os.urandom(4096)
        here, there = (views[0], views[2]) if round % 2 else (views[2], views[0])
        write(path if round % 2 else far, MIB, data)
        expect(here[MIB:MIB + 4096] == data, "a mapping on the writer's host shows old bytes")
        wait_for("a mapping elsewhere shows it", lambda: there[MIB:MIB + 4096] == data, 5)

    # Beside a writer of another host that goes on.
    writer = os.open(far, os.O_RDWR)
    for round in range(3):
        data = os.urandom(4096)
        os.pwrite(writer, data, 3 * MIB)
        os.fsync(writer)
        wait_for("a mapping elsewhere shows it", lambda: views[0][3 * MIB:3 * MIB + 4096] == data, 5)
    try:
        view(path)
        raise lab.Failure("it can be mapped anew beside another host's writer")
    except OSError as why:
        expect(why.errno == errno.ENODEV, "mapping beside another host's writer gave %s", why)
    os.close(writer)
    # What was cached beside it does not stay when it has gone.
    for round in range(3):
        writer = os.open(far, os.O_RDWR)
        for pause in (0.13, 0):
            data = os.urandom(4096)
            time.sleep(pause)
            views[0][3 * MIB:3 * MIB + 4096]
            os.pwrite(writer, data, 3 * MIB)
            os.fsync(writer)
        os.close(writer)
        wait_for("a mapping shows the last of it", lambda: views[0][3 * MIB:3 * MIB + 4096] == data, 5)
    wait_for("it can be mapped again", lambda: can_be_mapped(path), 5)
    expect(view(path)[3 * MIB:3 * MIB + 4096] == data, "the new mapping shows old bytes")
    for memory in views:
        memory.close()
    for fd in readers:
        os.close(fd)

    # A reader that began beside another host's writer sees what is stored here afterwards.
    writer = os.open(far, os.O_RDWR)
    reader = os.open(path, os.O_RDONLY)
    os.pread(reader, 4096, 0)
    os.close(writer)
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, SIZE) as memory:
        memory[4 * MIB:4 * MIB + 5] = b"hello"
        expect(os.pread(reader, 5, 4 * MIB) == b"hello", "a reader does not see a store")
    os.close(fd)
    os.close(reader)

    # On the fast path a mapping would show nothing of what the client stores.
    client = Mapper(l, path)
    client.do("fill", 0, MIB, 7)
    try:
        view(path)
        raise lab.Failure("it can be mapped beside the fast path")
    except OSError as why:
        expect(why.errno == errno.ENODEV, "mapping beside the fast path gave %s", why)
    client.end()
    one.drained("ram")


lab.main(test)
