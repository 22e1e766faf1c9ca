#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of QEMU's accelerators runs the guests here: KVM where a Debian kernel really boots under
it, else TCG. As a program, tells it of the image FLAVOUR: tests/guest/accel.py FLAVOUR.

A device /dev/kvm that opens says little: some hosts' KVM runs only kernels made for it, or lacks
what QEMU's CPU models need. So one boot is tried, and its outcome remembered until the host boots
again or the kernel changes. Where one of Debian's kernels does not come up, no other is tried: TCG runs
them all.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile
import time

import debian
import image

PROBE_SECONDS = 20
MACHINE = ["-cpu", "max", "-m", "256M", "-nodefaults", "-display", "none", "-no-reboot"]


def _boots(vmlinux, initramfs):
    """None if the guest's first process speaks, else why not."""
    with tempfile.TemporaryFile("w+", errors="replace") as console:
        qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35,accel=kvm", *MACHINE, "-serial", "stdio",
             "-kernel", vmlinux, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + PROBE_SECONDS
            while True:
                ended = qemu.poll() is not None
                console.seek(0)
                said = console.read()
                if re.search(r"^guest: up", said, re.M):
                    return None
                if ended:
                    return "QEMU ends: " + (said.strip().splitlines() or ["silently"])[0][:160]
                if time.monotonic() > deadline:
                    return "no Debian kernel comes up within %d s" % PROBE_SECONDS
                time.sleep(0.1)
        finally:
            qemu.kill()
            qemu.wait()


def choose(vmlinux, initramfs):
    """("kvm", "") or ("tcg", why), for guests that boot this kernel."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as why:
        return "tcg", "/dev/kvm: %s" % why.strerror
    with open("/proc/sys/kernel/random/boot_id") as f:
        key = f.read().strip()
    probes = os.path.join(debian.cache_root(), "kvm-probe-")
    remembered = probes + os.path.basename(os.path.dirname(vmlinux))
    with debian.CacheLock():
        for path in [remembered, *sorted(set(glob.glob(probes + "*")) - {remembered})]:
            if not os.path.exists(path):
                continue
            with open(path) as f:
                known, _, why = f.read().partition("\n")
            if known == key and (why or path == remembered):
                return ("tcg", why) if why else ("kvm", "")
        why = _boots(vmlinux, initramfs)
        why = "/dev/kvm is there, but %s" % why if why else ""
        with open(remembered, "w") as f:
            f.write(key + "\n" + why)
    return ("tcg", why) if why else ("kvm", "")


if __name__ == "__main__":
    print("%s %s" % choose(*image.image(sys.argv[1])))
