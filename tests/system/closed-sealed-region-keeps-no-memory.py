#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a mount knows of a sealed region's pages takes 2 MiB for each GiB that was written, and is given back when the last
program has closed it, when it is made smaller, and when it is removed."""

import os

import lab
from lab import expect, wait_for
from remote import Mount, Node
from sealing import key_file

MIB = 1 << 20
SIZE = 64 * MIB
KNOWN = SIZE // 4096 * 8


def journal_bytes(mount):
    folder = "/proc/%d/fd" % mount.process.pid
    for fd in os.listdir(folder):
        path = os.path.join(folder, fd)
        if os.readlink(path).startswith("/memfd:gvmfs-journal"):
            return os.stat(path).st_blocks * 512
    raise AssertionError("the supervisor has no journal")


def gives_back(mount, before, bytes_, after_what):
    wait_for("what was known is given back " + after_what, lambda: journal_bytes(mount) <= before - bytes_)


def test(l):
    node = Node(l, "192M")
    mount = Mount(l, [node], "--seal-key-file", key_file(l))
    for how in ("closed", "cut", "removed"):
        path = mount.region(how, SIZE)
        fd = os.open(path, os.O_RDWR)
        l.write(path, 0, SIZE, 1)
        os.fsync(fd)
        l.write(path, 0, MIB, 1)  # the wbufs of the journal stay
        os.fsync(fd)
        used = journal_bytes(mount)
        expect(used > KNOWN, "the journal has %d bytes", used)
        if how == "cut":
            os.ftruncate(fd, SIZE // 2)
            gives_back(mount, used, KNOWN // 2 - 8192, "by a cut")
            l.check(path, 0, SIZE // 2, 1)
        if how == "removed":
            os.unlink(path)
        os.close(fd)
        gives_back(mount, used, KNOWN - 8192, "when it is " + how)
        if how == "closed":
            l.check(path, 0, SIZE, 1)
            os.unlink(path)
    mount.unmount()


lab.main(test)
