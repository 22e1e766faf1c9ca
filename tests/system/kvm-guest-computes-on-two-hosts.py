#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux on a machine of four vCPUs, of which each of two QEMUs runs two under KVM: it comes up, takes one of the other
node offline and starts it again, all compute, and when it switches off both QEMUs end. KVM is had anywhere by an outer
guest on an emulated CPU with SVM, where both QEMUs run."""

import guest
import image
import lab
from lab import expect


def test(l):
    vmlinux, initramfs = image.image("vcpus", lab.BUILD)
    words = ("console=ttyS0 quiet panic=-1 watchdog_thresh=60 tsc=reliable no_timer_check mitigations=off nokaslr audit=0 "
             "apparmor=0 cryptomgr.notests random.trust_cpu=on job=vcpus each=2 again=1")
    outer = l.start("outer", "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                    "-smp", "2", "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                    "-kernel", vmlinux, "-initrd", initramfs, "-append", words)
    console = guest.verdict(outer, 280)
    l.log("%s", "\n".join(line for line in console.splitlines() if "cpus:" in line))
    expect("cpus: the last was started again" in console and "cpus: 4 ran" in console, "not all vCPUs ran")


lab.main(test)
