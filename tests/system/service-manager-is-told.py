#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service manager hears from gvm-memnode and gvmfs when they serve, and not before; one that does not
listen stops neither. The unit files that are installed say so (Type=notify)."""

import os
import socket
import subprocess

import lab
from lab import expect, program
from remote import Mount, Node


class Manager:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.before = ("env", "NOTIFY_SOCKET=" + address.replace("\0", "@"))

    def heard(self, seconds=20):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096)
        except TimeoutError:
            return b""


def units():
    folder = os.path.join(lab.BUILD, "tools/systemd")
    for name in sorted(os.listdir(folder)):
        if ".service" not in name:
            continue
        with open(os.path.join(folder, name)) as f:
            text = f.read()
        expect("ExecStartPre=" not in text or "ExecStartPre=-" in text,
               "%s: a dead mount would keep it from starting: %s", name, text)
        expect("Type=notify\n" in text and "Restart=always\n" in text and "@" not in
               text.split("ExecStart=")[1].split()[0], "%s: %s", name, text)


def test(l):
    units()
    for address in l.path("notify"), "\0gvm-test-%d" % os.getpid():
        manager = Manager(address)
        node = Node(l, "64M", before=manager.before)
        expect(manager.heard() == b"READY=1", "a node at %r does not say it", address)
        # Nothing is said while the mount does not answer: its node stands still.
        node.stop()
        path = l.path("mount-%d" % len(l.processes))
        os.mkdir(path)
        gvmfs = l.start("gvmfs", *manager.before, program("gvmfs"), "-f", "--nodes", node.address, path)
        expect(not manager.heard(1), "gvmfs says so before it serves")
        node.go_on()
        expect(manager.heard() == b"READY=1", "gvmfs at %r does not say it", address)
        expect(os.statvfs(path).f_blocks, "the mount does not answer")
        subprocess.run(["umount", path], check=True)
        gvmfs.succeed(20)
    # A manager that reads nothing, and one that is not there.
    deaf = Manager(l.path("deaf"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        try:
            while True:
                filler.sendto(b"x", l.path("deaf"))
        except BlockingIOError:
            pass
    for before in deaf.before, ("env", "NOTIFY_SOCKET=" + l.path("nobody")), ("env", "NOTIFY_SOCKET=x"), \
            ("env", "NOTIFY_SOCKET=/" + "x" * 200):
        node = Node(l, "64M", before=before)
        Mount(l, [node], before=before).unmount()


lab.main(test)
