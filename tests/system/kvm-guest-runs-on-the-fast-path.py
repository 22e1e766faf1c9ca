#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest under KVM whose RAM is on the fast path fills and checks most of it, at four times its
budget. KVM is had anywhere by an outer guest on an emulated CPU with SVM, where node, gvmfs and the
QEMU of the inner one run."""

import guest
import image
import lab
from lab import expect


def test(l):
    vmlinux, initramfs = image.image("nested", lab.BUILD)
    words = "console=ttyS0 quiet panic=-1 watchdog_thresh=60 tsc=unstable no_timer_check job=nested mode=uffd region=160 local=40 percent=70"
    outer = l.start("outer", "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-m",
                    "1536M", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                    "-kernel", vmlinux, "-initrd", initramfs, "-append", words)
    console = guest.verdict(outer, 280)
    l.log("%s", "\n".join(line for line in console.splitlines() if "inner" in line or "fast" in line))
    expect("inner guest: verdict pass" in console, "the inner guest says nothing")


lab.main(test)
