# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the guests' kernel has some of its symbols: a file of lines as System.map has them, which Debian ships with the
debug symbols only. A guest tells it once (an ELF vmlinux is not moved by KASLR), and the cache keeps it beside the kernel."""

import os
import re
import subprocess

import accel
import debian
import image
import kernel

SECONDS = 120


def _said(vmlinux, initramfs):
    chosen, _ = accel.choose(vmlinux, initramfs)
    done = subprocess.run(
        ["qemu-system-x86_64", "-machine", "q35,accel=" + chosen, *accel.MACHINE, "-serial", "stdio", "-kernel", vmlinux,
         "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 job=symbols"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", timeout=SECONDS, check=True)
    found = re.findall(r"^symbol: (\w+ \w \w+)", done.stdout, re.M)
    if not found:
        raise RuntimeError("the guest says nothing of its symbols:\n" + done.stdout[-2000:])
    return "".join(line + "\n" for line in found)


def path(build):
    """The file, of the chosen kernel."""
    with debian.CacheLock():
        tree = kernel.Kernel().tree
    place = os.path.join(tree, "symbols")
    if not os.path.exists(place):
        debian.fetches("where the guests' kernel has its symbols")
        said = _said(*image.image("fill", build))
        with open(place + ".new", "w") as f:
            f.write(said)
        os.rename(place + ".new", place)
    return place
