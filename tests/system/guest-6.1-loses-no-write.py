#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Node, gvmfs and the torture run inside a guest with Debian's own kernel, whose FUSE writes back
in another way, and on the fast path, by every form of access; nothing is lost, also over a remount,
and a killed gvmfs ends the mount loudly."""

import guest
import lab
from lab import expect
from torture import counts, expect_every_form

MIB = 1 << 20


def test(l):
    disk = l.path("disk")
    with open(disk, "wb") as f:
        f.truncate(4 * MIB)
    qemu = l.start("qemu", *guest.command(
        "gvmfs", "640M", "-drive", "file=%s,if=none,id=disk,format=raw,cache=none" % disk,
        "-device", "virtio-blk-pci,drive=disk", job="torture", region=64, budget=28, seconds=15, fast=10))
    console = guest.verdict(qemu, 220)
    l.log("%s", "\n".join(line for line in console.splitlines() if line.startswith("torture:")))
    # Both of them, and three comparisons with what they left.
    tortures = counts(console)
    expect(len(tortures) == 5, "there were %d tortures", len(tortures))
    for done in tortures:
        expect_every_form(done)


lab.main(test)
