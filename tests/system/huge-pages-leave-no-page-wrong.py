#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever the kernel is told about huge pages of shared memory, and while it is told something
else, no page on the fast path is other than it should be: inside a guest with Debian's own kernel,
which makes 2 MiB present around a write of 4 KiB."""

import guest
import lab
from lab import expect

MIB = 1 << 20


def test(l):
    disk = l.path("disk")
    with open(disk, "wb") as f:
        f.truncate(4 * MIB)
    qemu = l.start("qemu", *guest.command(
        "gvmfs", "900M", "-drive", "file=%s,if=none,id=disk,format=raw,cache=none" % disk,
        "-device", "virtio-blk-pci,drive=disk", job="hugepages", seconds=2))
    console = guest.verdict(qemu, 330)
    for setting in ("within_size", "always", "force"):
        expect("hugepages: %s is passed" % setting in console, "nothing was done with %s", setting)


lab.main(test)
