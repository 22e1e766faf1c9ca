#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A userfaultfd that is not initialised yet, whose user could switch any event on later, is refused; so is
one that tells of forks or removals, and a descriptor that is none. One that tells of faults is taken, and one that
tells of moves besides, as gvm attach needs it."""

import ctypes
import fcntl
import os
import socket
import struct

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
SIZE = 4 * MIB

# gvm_attach.h
MESSAGE = struct.Struct("<IHHQQQQIi208s")
MAGIC, VERSION = 0x416d7647, 1
HELLO, WELCOME, REFUSE, READY, GO, DETACHED = 1, 2, 3, 4, 5, 10

# linux/userfaultfd.h, asm/unistd_64.h
SYS_USERFAULTFD = 323
UFFDIO_API = 0xc018aa3f
SHMEM = 1 << 5 | 1 << 10
REMAP = 1 << 2
EVENTS = {"fork": 1 << 1, "remove": 1 << 3, "unmap": 1 << 6}


def userfaultfd(features=None):
    fd = ctypes.CDLL(None).syscall(SYS_USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
    expect(fd >= 0, "no userfaultfd")
    if features is not None:
        fcntl.ioctl(fd, UFFDIO_API, struct.pack("<QQQ", 0xaa, features, 0))
    return fd


def say(s, kind, *descriptors, page=0):
    socket.send_fds(s, [MESSAGE.pack(MAGIC, VERSION, kind, 0, 0, 0, SIZE if kind != DETACHED else 0,
                                     page, 0, b"")], descriptors)


def hear(s):
    message, descriptors, _, _ = socket.recv_fds(s, MESSAGE.size, 8)
    for descriptor in descriptors:
        os.close(descriptor)
    return MESSAGE.unpack(message)[2] if message else 0


def answer_to(region, uffd):
    """What gvmfs says to a client that is ready with this descriptor."""
    fd = os.open(region, os.O_RDWR)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(20)
        s.connect(os.getxattr(region, "user.gvm.attach").decode())
        say(s, HELLO, fd)
        expect(hear(s) == WELCOME, "no welcome")
        say(s, READY, uffd, page=4096)
        answer = hear(s)
        if answer == GO:
            say(s, DETACHED)
    os.close(fd)
    os.close(uffd)
    return answer


def test(l):
    mount = Mount(l, [Node(l, "64M")])
    region = mount.region("ram", SIZE)
    given = {"nothing yet": userfaultfd(), "a pipe": os.pipe()[0], "its file": os.open("/dev/null", 0)}
    given.update({"events of " + name: userfaultfd(SHMEM | bit) for name, bit in EVENTS.items()})
    for name, fd in given.items():
        answer = answer_to(region, fd)
        expect(answer != GO, "a userfaultfd with %s was taken", name)
    for features in (SHMEM, SHMEM | REMAP):
        answer = answer_to(region, userfaultfd(features))
        expect(answer == GO, "a plain one was answered with %d", answer)
        mount.drained("ram")


if __name__ == "__main__":
    lab.main(test)
