#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that knows a file's name, and lists no folder, sees within moments what another host does to
it: its size, times and mode, a new name, its end, another file of the same name. So does one that has the
file open; a copy is never cut short at an old size."""

import os

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20


def found(function, *arguments):
    try:
        return function(*arguments)
    except OSError as e:
        return type(e)


def test(l):
    node = Node(l, "64M")
    here, there = Mount(l, [node], name="here"), Mount(l, [node], name="there")
    path, far = here.region("file", 2 * MIB), there.file("file")

    def seen(what, function, expected):
        wait_for("%s is seen elsewhere" % what, lambda: found(function) == expected, 10)

    def size():
        return os.stat(far).st_size

    seen("a new file", size, 2 * MIB)
    os.truncate(path, MIB)
    seen("a smaller size", size, MIB)
    reader = os.open(far, os.O_RDONLY)
    with open(path, "ab") as f:
        f.write(b"end" * MIB)
        f.flush()
        seen("a larger size", lambda: os.fstat(reader).st_size, 4 * MIB)
    seen("what was appended", lambda: os.pread(reader, 4, 4 * MIB - 3), b"end")
    os.close(reader)
    l.run("cp", far, l.path("copy"))
    l.run("cmp", path, l.path("copy"))

    os.utime(path, ns=(10**18, 10**18 + 7))
    seen("a time", lambda: os.stat(far).st_mtime_ns, 10**18 + 7)
    os.chmod(path, 0o640)
    seen("a mode", lambda: os.stat(far).st_mode & 0o777, 0o640)
    os.rename(path, here.file("other"))
    seen("a rename", size, FileNotFoundError)
    seen("its new name", lambda: os.stat(there.file("other")).st_size, 4 * MIB)
    here.region("file", 3 * MIB)
    seen("another file of that name", size, 3 * MIB)
    os.unlink(path)
    seen("a removal", lambda: os.close(os.open(far, os.O_RDONLY)), FileNotFoundError)
    expect(os.listdir(there.path) == ["other"], "the other host lists %s", os.listdir(there.path))


lab.main(test)
