#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs whose standard descriptors a careless parent closed, or whose output cannot be written: no
region takes the place of a closed one, where messages would go into the guest's memory, and output
that was lost is no success."""

import os

import lab
from lab import children, expect, program, wait_for
from remote import Mount, Node

CLOSED = ("sh", "-c", '"$@" <&- >&- 2>&-', "sh")
FULL = ("sh", "-c", '"$@" >/dev/full', "sh")
QEMU = ("qemu-system-x86_64", "-accel", "tcg", "-m", "32M", "-nodefaults", "-display", "none", "-S")


def qemu_below(pid):
    """The QEMU below a process, however deep."""
    for child, name in children(pid).items():
        found = child if name.startswith("qemu") else qemu_below(child)
        if found:
            return found
    return None


def qemu_with_ram(mount, pid):
    """Not one that gvm run only asks something."""
    qemu = qemu_below(pid)
    try:
        with open("/proc/%d/maps" % qemu if qemu else os.devnull) as f:
            return qemu if "/ram" in f.read() or mount.stats("ram")["fast"] else None
    except (FileNotFoundError, ProcessLookupError):  # it ended before or while it was read
        return None


def descriptors(pid):
    return [os.readlink("/proc/%d/fd/%d" % (pid, fd)) for fd in range(3)]


def test(l):
    for name in ("gvm", "gvmfs", "gvm-memnode"):
        for option in ("--help", "--version"):
            l.run(*FULL, program(name), option, status=1)
    node = Node(l, "256M")
    mount = Mount(l, [node])
    path = mount.region("ram", 32 << 20)
    for command in ("stat", mount.path), ("stat", path), ("node", node.address), \
            ("region", "local", path), ("run", "--help"):
        said = l.run(*FULL, program("gvm"), *command, status=1)
        expect("cannot write to standard output: No space left on device" in said, "gvm %s: %s",
               command[0], said)
        expect(l.run(program("gvm"), *command), "gvm %s says nothing", command[0])

    for mode in "fuse", "uffd":
        run = l.start("run", *CLOSED, program("gvm"), "run", "--mode", mode, "--local", "16M",
                      "--mount", mount.path, "--region", "ram", "--", *QEMU)
        qemu = wait_for("QEMU has its RAM", lambda: qemu_with_ram(mount, run.pid))
        launcher = next(iter(children(run.pid)))
        for pid in {qemu, launcher}:
            expect(all(name == "/dev/null" for name in descriptors(pid)), "mode %s: process %d has %s",
                   mode, pid, descriptors(pid))
        os.kill(qemu, 15)
        run.wait(20)
        mount.drained("ram")
        with open(path, "rb") as f:
            expect(b"gvm" not in f.read(), "mode %s: messages are in the guest's memory", mode)


lab.main(test)
