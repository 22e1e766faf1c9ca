#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux on a machine of two vCPUs, each of which another QEMU runs, with the guest's RAM as all that they share but a
socket: it comes up, both compute, and when it switches off both QEMUs end. With GVM_LONG it is reset before."""

import os

import bare
import guest
import image
import lab
from lab import expect, wait_for


def test(l):
    vmlinux, initramfs = image.image("fill", lab.BUILD)
    words = "console=ttyS0 quiet panic=-1 watchdog_thresh=60 tsc=reliable no_timer_check mitigations=off nokaslr cryptomgr.notests audit=0 apparmor=0 random.trust_cpu=on job=cpus cpus=2"
    shared = bare.Shared(l, [0, 1], ["-serial", "stdio", "-kernel", vmlinux, "-initrd", initramfs,
                                     "-append", words], ram="128M")
    second, first = shared.start(1), shared.start(0)
    first.says(r"^guest: up", 60)
    l.log("it is up")
    if os.environ.get("GVM_LONG"):
        shared.monitor(0).do("system_reset")
        wait_for("it is up again", lambda: first.log().count("guest: up") == 2, 60)
        l.log("it is up again")
    console = guest.verdict(first, 60)
    expect("cpus: 2 ran" in console, "not both vCPUs ran")
    expect(second.wait(5) == 0 and not second.log(), "node 1 ended with %s and says %s", second.popen.returncode,
           second.log())
    l.log("%s", "\n".join(line for line in console.splitlines() if line.startswith("cpus:")))
    shared.end()


lab.main(test)
