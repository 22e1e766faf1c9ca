#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file that was closed while the kernel still read ahead counts as closed: what is refused while others have it open
(cutting it off, opening it with O_TRUNC) waits for the end of that. Where another program really has it open, that is
still said."""

import errno
import os
import threading

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
SIZE = 4 * MIB


def read_ahead(path, node):
    """Begins to, while the node does not answer, and closes the file. The node answers a moment later."""
    fd = os.open(path, os.O_RDONLY)
    node.stop()
    os.posix_fadvise(fd, 0, SIZE, os.POSIX_FADV_WILLNEED)
    os.close(fd)
    threading.Timer(0.3, node.go_on).start()


def forget(fd):
    os.fsync(fd)
    os.posix_fadvise(fd, 0, SIZE, os.POSIX_FADV_DONTNEED)


def refused(what, *args):
    try:
        os.close(what(*args) or os.open("/dev/null", os.O_RDONLY))
    except OSError as e:
        expect(e.errno == errno.EBUSY, "%s: %s", what.__name__, e)
    else:
        raise lab.Failure("%s, though another has it open" % what.__name__)


def test(l):
    node = Node(l, "32M")
    mount = Mount(l, [node])
    path = mount.region("ram", SIZE)
    writer = os.open(path, os.O_RDWR)
    for size in (3 * MIB, 2 * MIB, MIB):
        os.pwrite(writer, os.urandom(SIZE), 0)
        forget(writer)
        read_ahead(path, node)
        os.ftruncate(writer, size)
        expect(os.fstat(writer).st_size == size, "its size is %d", os.fstat(writer).st_size)

    os.pwrite(writer, os.urandom(SIZE), 0)
    forget(writer)
    os.close(writer)
    read_ahead(path, node)
    os.close(os.open(path, os.O_RDWR | os.O_TRUNC))
    expect(os.stat(path).st_size == 0, "O_TRUNC left %d bytes", os.stat(path).st_size)

    writer, reader = os.open(path, os.O_RDWR), os.open(path, os.O_RDONLY)
    os.ftruncate(writer, SIZE)
    refused(os.ftruncate, writer, MIB)
    refused(os.open, path, os.O_RDWR | os.O_TRUNC)
    os.close(reader)
    os.ftruncate(writer, MIB)
    os.close(writer)


lab.main(test)
