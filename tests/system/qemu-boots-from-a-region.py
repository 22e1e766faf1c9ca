#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's QEMU, unmodified and without `gvm run`, boots with its RAM on a mount: by -mem-path DIR
(a private mapping of an unlinked file) and by a shared memory-backend-file, whose content can be
read from outside while the guest runs."""

import os

import guest
import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20


def by_folder(l, mount):
    qemu = l.start("qemu", *guest.command("fill", "160M", "-mem-path", mount.path, job="fill",
                                          percent=60))
    guest.verdict(qemu, 100)
    expect(os.listdir(mount.path) == [], "-mem-path left %s", os.listdir(mount.path))


def by_backend(l, mount):
    path = mount.file("ram")
    qemu = l.start("qemu", *guest.command(
        "fill", "160M", "-object",
        "memory-backend-file,id=ram,size=160M,mem-path=%s,share=on" % path,
        "-machine", "memory-backend=ram", job="fill", percent=60, rounds=2))

    def banner():
        """Linux's own banner, out of its memory."""
        with open(path, "rb") as f:
            data = f.read()
        at = data.find(b"Linux version 6.")
        return at >= 0 and data[at:at + 60]
    qemu.says(r"^gvm-fill: .* available", 60)
    l.log("the guest's memory says: %s", wait_for("the guest's banner", banner, 30))
    guest.verdict(qemu, 100)
    stats = mount.stats("ram")
    expect(stats["reads"] > 0, "the guest's RAM was never read: %s", stats)
    expect(os.stat(path).st_size == 160 * MIB, "the region's size changed")


def test(l):
    nodes = [Node(l, "192M"), Node(l, "192M")]
    mount = Mount(l, nodes)
    by_folder(l, mount)
    by_backend(l, mount)
    mount.unmount()


lab.main(test)
