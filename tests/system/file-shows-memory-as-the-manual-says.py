#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the manual says that a guest's memory stands in its file, it stands: below the PCI hole and
above it, on each machine; and so have NAME.high and `gvm inspect`, since `gvm run` has told the mount. And on the fast path, where a look into QEMU's own address space gets an
error for what is on the nodes, the file has it."""

import os
import re
import socket

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

MIB = 1 << 20
GIB = 1 << 30
# machine, RAM, where its address 4 GiB stands in the file: as in gvmfs(8)
MACHINES = [("q35", 2816, 0x80000000), ("pc", 3584, 0xc0000000), ("microvm", 3328, 0xc0000000)]


class Qtest:
    """QEMU's test protocol: reads and writes guest physical memory."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        # The path is there a moment before QEMU listens.
        wait_for("QEMU listens", lambda: self.socket.connect_ex(path) == 0, 60)
        self.file = self.socket.makefile("rw")

    def do(self, line):
        self.file.write(line + "\n")
        self.file.flush()
        answer = self.file.readline()
        expect(answer.startswith("OK"), "%s: %s", line, answer)
        return answer


def guest(l, mount, name, machine, mib, mode):
    qtest, monitor = l.path(name + ".q"), l.path(name + ".m")
    run = l.start(name, program("gvm"), "run", "--local", "64M", "--mode", mode, "--mount", mount.path,
                  "--region", name, "--", "qemu-system-x86_64", "-M", machine, "-m", "%dM" % mib,
                  "-accel", "tcg", "-S", "-nodefaults", "-display", "none", "-qtest",
                  "unix:%s,server,nowait" % qtest)
    return run, Qtest(qtest)


def read_file(path, offset, length):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def holes(l, mount):
    with open(os.path.join(lab.SOURCE, "gvmfs/gvmfs.8")) as f:
        manual = re.sub(r"\s+", " ", f.read())
    for machine, mib, offset in MACHINES:
        expect(".Cm %s" % machine in manual and "0x%x" % offset in manual,
               "the manual does not say where %s has its memory", machine)
        run, qtest = guest(l, mount, machine, machine, mib, "auto")
        qtest.do("write 0x200000 0x4 0x6c6f7721")
        qtest.do("write 0x%x 0x4 0x68696768" % (4 * GIB))
        path = mount.file(machine)
        expect(read_file(path, 2 * MIB, 4) == b"low!", "%s: not at the low end", machine)
        found = read_file(path, offset, 4)
        expect(found == b"high", "%s: %r at offset %x", machine, found, offset)
        found = read_file(path + ".high", 0, 4)
        expect(found == b"high", "%s: its view .high begins with %r", machine, found)
        facts = os.getxattr(path, "user.gvm.core").decode()
        expect("low 0x%x\n" % offset in facts and "guessed" not in facts, "gvm run says of %s: %s", machine, facts)
        found = l.run(program("gvm"), "inspect", "--phys", 4 * GIB, "--bytes", 4, "--raw", path)
        expect(found == "high", "%s: gvm inspect shows %r at 4 GiB", machine, found)
        run.signal(15)
        run.wait(60)
        os.unlink(path)


def outside(l, mount):
    """QEMU's memory through /proc: what was let go gives an error there, never zeros."""
    run, qtest = guest(l, mount, "seen", "q35", 256, "uffd")
    qtest.do("memset 0x1000000 0x%x 0x5a" % (192 * MIB))
    with open("/proc/%d/task/%d/children" % (run.pid, run.pid)) as f:
        qemu = int(f.read().split()[0])
    with open("/proc/%d/maps" % qemu) as f:
        maps = [line.split()[0].split("-") for line in f if "memfd:" in line]
    start = next(int(a, 16) for a, b in maps if int(b, 16) - int(a, 16) == 256 * MIB)
    fd, refused = os.open("/proc/%d/mem" % qemu, os.O_RDONLY), 0
    for offset in range(16 * MIB, 208 * MIB, 2 * MIB):
        try:
            seen = os.pread(fd, 4096, start + offset)
            expect(seen == b"Z" * 4096, "/proc/PID/mem shows other bytes at %x", offset)
        except OSError:
            refused += 1
        expect(read_file(mount.file("seen"), offset, 4096) == b"Z" * 4096,
               "the file shows other bytes at %x", offset)
    os.close(fd)
    expect(refused, "192 MiB beside a budget of 64 MiB, and nothing was refused")
    run.signal(15)
    run.wait(60)


def test(l):
    mount = Mount(l, [Node(l, "512M", "--overcommit", "16")])
    holes(l, mount)
    outside(l, mount)


lab.main(test)
