#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A write() or a hole of the client's own that waits for the rest of a page, from a node that does not
answer, when the fast path would begin: it is refused, and what was written is in the file afterwards."""

import importlib
import os
import socket
import threading
import time

import lab
from lab import expect
from mapper import punch
from remote import Mount, Node

plain = importlib.import_module("fast-path-takes-plain-userfaultfds-only")
MIB = 1 << 20
PAGE = 4096
AT = 2 * MIB + 100
CALLS = ("18", "285")  # pwrite64(), fallocate()
CHANGES = {"write": (lambda fd: os.pwrite(fd, b"new", AT), b"new"),
           "punch": (lambda fd: punch(fd, AT, 3), bytes(3))}


def in_a_call(thread):
    """It waits in the kernel: what it asked is on gvmfs's list."""
    with open("/proc/self/task/%d/syscall" % thread.native_id) as f:
        return f.read().split()[0] in CALLS


def refused(mount, node, region, change):
    fd = os.open(region, os.O_RDWR)
    waits = threading.Thread(target=change, args=(fd,), daemon=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(20)
        s.connect(os.getxattr(region, "user.gvm.attach").decode())
        plain.say(s, plain.HELLO, fd)
        expect(plain.hear(s) == plain.WELCOME, "no welcome")
        # The page cache is looked after: from here on nothing may come into the file.
        node.stop()
        waits.start()
        lab.wait_for("it to ask", lambda: in_a_call(waits))
        mount.stats()  # was asked later, and answered: it has reached gvmfs
        expect(waits.is_alive(), "it did not wait")
        plain.say(s, plain.READY, plain.userfaultfd(plain.SHMEM), page=PAGE)
        answer = plain.hear(s)
        node.go_on()
        waits.join(30)
        expect(answer == plain.REFUSE, "it was answered with %d", answer)
        expect(not waits.is_alive(), "it waits for ever")
    os.close(fd)
    mount.drained("ram")


def test(l):
    node = Node(l, "64M")
    mount = Mount(l, [node])
    region = mount.region("ram", plain.SIZE)
    for name, (change, expected) in CHANGES.items():
        with open(region, "r+b") as f:
            f.seek(2 * MIB)
            f.write(b"\x5a" * PAGE)
            os.fsync(f.fileno())
        mount.drained("ram")
        mount.kill_worker()  # nor does its successor have the page
        refused(mount, node, region, change)
        with open(region, "rb") as f:
            f.seek(2 * MIB)
            page = f.read(PAGE)
        wanted = bytearray(b"\x5a" * PAGE)
        wanted[100:103] = expected
        expect(page == bytes(wanted), "%s: the page is not what was written", name)


if __name__ == "__main__":
    lab.main(test)
