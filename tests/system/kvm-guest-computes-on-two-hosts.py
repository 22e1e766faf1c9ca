#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux on a machine of two vCPUs, each of which another QEMU runs under KVM: it comes up, both compute, and when it
switches off both QEMUs end. KVM is had anywhere by an outer guest on an emulated CPU with SVM, where both QEMUs run."""

import guest
import image
import lab
from lab import expect


def test(l):
    vmlinux, initramfs = image.image("vcpus", lab.BUILD)
    words = ("console=ttyS0 quiet panic=-1 watchdog_thresh=60 tsc=reliable no_timer_check mitigations=off nokaslr audit=0 "
             "apparmor=0 cryptomgr.notests random.trust_cpu=on job=vcpus each=1")
    outer = l.start("outer", "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                    "-smp", "2", "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                    "-kernel", vmlinux, "-initrd", initramfs, "-append", words)
    console = guest.verdict(outer, 280)
    l.log("%s", "\n".join(line for line in console.splitlines() if "cpus:" in line))
    expect("cpus: 2 ran" in console, "not both vCPUs ran")


lab.main(test)
