#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files are made, sized, written, shrunk, renamed and removed while the process that serves the
mount is killed at random moments: each step does what it says, exactly once."""

import os
import random
import threading
import time

import lab
from lab import expect, features, skip
from remote import Mount, Node

MIB = 1 << 20
SECONDS = 10
DATA = b"x" * 8192


def life_of_a_file(mount, number):
    """Every step raises what it fails with."""
    path = mount.file("f%d" % (number % 7))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(fd, 2 * MIB)
        os.pwrite(fd, DATA, 4096)
        os.fsync(fd)
        os.ftruncate(fd, MIB)
        expect(os.pread(fd, len(DATA), 4096) == DATA, "file %d: other content", number)
        expect(os.fstat(fd).st_size == MIB, "file %d: other size", number)
    finally:
        os.close(fd)
    os.rename(path, path + "-renamed")
    os.unlink(path + "-renamed")


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    nodes = [Node(l, "96M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    over, kills = threading.Event(), []

    def kill():
        while not over.wait(random.uniform(0.35, 0.55)):
            mount.kill_worker()
            kills.append(1)
    killer = lab.Thread(kill)
    killer.start()
    end, number = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end or (len(kills) <= 3 and killer.is_alive()):
            life_of_a_file(mount, number)
            number += 1
    finally:
        over.set()
        killer.join()
    l.log("%d files, %d kills", number, len(kills))
    expect(len(kills) > 3, "it was killed %d times only", len(kills))
    expect(not os.listdir(mount.path), "left behind: %s", os.listdir(mount.path))
    mount.unmount()
    again = Mount(l, nodes)
    expect(not os.listdir(again.path), "left on the nodes: %s", os.listdir(again.path))


lab.main(test)
