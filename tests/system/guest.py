# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests: a QEMU command line for one of the images of tests/guest, and what its console says."""

import os
import re
import subprocess

from lab import BUILD, SOURCE, expect  # first: it says where the others are
import accel
import image


def command(flavour, memory, *options, **variables):
    """QEMU with that much memory ("256M"), a job and the job's variables; the memory's backend is
    the caller's affair."""
    vmlinux, initramfs = image.image(flavour, BUILD)
    chosen, _ = accel.choose(vmlinux, initramfs)
    words = ["console=ttyS0", "quiet", "panic=-1", "watchdog_thresh=60", "tsc=unstable no_timer_check" if chosen == "tcg" else ""]
    words += ["%s=%s" % item for item in variables.items()]
    return ["qemu-system-x86_64", "-machine", "q35,accel=" + chosen, "-cpu", "max", "-m", memory,
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", vmlinux, "-initrd", initramfs, "-append", " ".join(filter(None, words)),
            *options]


def patched():
    """The QEMU with the backend built in; out of the cache, where tools/check has put it."""
    done = subprocess.run([os.path.join(SOURCE, "qemu/build")], text=True, capture_output=True)
    expect(done.returncode == 0, "qemu/build: %s", done.stderr)
    return done.stdout.split()[-1]


def verdict(process, seconds):
    """Waits for the guest to end; fails unless it says that all went well. Gives its console."""
    status = process.wait(seconds)
    console = process.log()
    said = re.findall(r"^guest: verdict (\w+)", console, re.M)
    expect(said == ["pass"] and status == 0, "the guest says %s, QEMU's status is %s",
           said or "nothing", status)
    return console
