#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A journal that stands still, or a full pipe, stops no guest: whatever users and clients make gvmfs
say, it serves, ends, and tells at last how much was left out or dropped."""

import errno
import os
import re
import signal
import socket
import subprocess

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Node, numbers
import leftovers
from unread import Pipe, Syslog

MIB = 1 << 20
CLIENTS = 600
REFUSED = 300
COUNTED = r"lines? (like this one )?w(as|ere) (dropped|left out)"


def annoy(mount, region):
    """Makes gvmfs say what any user can make it say."""
    path = os.getxattr(region, "user.gvm.attach").decode()
    for _ in range(CLIENTS):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(20)
            s.connect(path)
            try:
                s.send(b"nonsense")
                s.recv(1000)
            except ConnectionError:
                pass
    for number in range(REFUSED):
        fd = os.open("%s/large-%d" % (mount, number % 20), os.O_RDWR | os.O_CREAT)
        try:
            os.ftruncate(fd, 1 << 34)
            expect(False, "16 GiB were promised")
        except OSError as why:
            expect(why.errno == errno.ENOSPC, "ftruncate: %s", why)
        finally:
            os.close(fd)


def serves(l, region, mapper):
    mapper.do("fill", 0, 4 * MIB, 1)
    annoy(os.path.dirname(region), region)
    mapper.do("fill", 4 * MIB, 4 * MIB, 2)
    mapper.do("check", 0, 4 * MIB, 1)
    mapper.end()
    l.check(region, 4 * MIB, 4 * MIB, 2, seconds=60)


def begin(l, region):
    with open(region, "xb") as f:
        f.truncate(16 * MIB)
    return Mapper(l, region)


def test(l):
    node = Node(l, "256M")
    syslog = Syslog(l)
    one, two = l.path("one"), l.path("two")
    os.mkdir(one)
    os.mkdir(two)

    l.run(program("gvmfs"), "--nodes", node.address, one)
    try:
        serves(l, one + "/first", begin(l, one + "/first"))
        said = syslog.read(COUNTED)
        expect(any(re.match(r"<\d+>\w{3} [ \d]\d \d\d:\d\d:\d\d gvmfs\[\d+\]: ", s) for s in said),
               "not as syslog writes it: %s", said[:2])
        about = [s for s in said if "cannot promise" in s]
        expect(0 < len(about) < REFUSED, "%d lines for %d refusals", len(about), REFUSED)
    finally:
        subprocess.run(["umount", one])

    pipe = Pipe(l)
    mount = l.start("gvmfs", *pipe.command("gvmfs", "-f", "--nodes", node.address, two), service=True)
    try:
        wait_for("the mount", lambda: two in leftovers.mounts(two))
        l.run("stat", two, seconds=20)
        serves(l, two + "/second", begin(l, two + "/second"))
        pipe.read(COUNTED)
        pipe.fill()
        stats = numbers(os.getxattr(two, "user.gvm.stats").decode())
        os.kill(stats["worker_pid"], signal.SIGKILL)
        l.check(two + "/second", 4 * MIB, 4 * MIB, 2, seconds=60)
    finally:
        subprocess.run(["umount", two])
    expect(mount.wait(30) == 0, "gvmfs ended with status %s", mount.popen.returncode)


lab.main(test)
