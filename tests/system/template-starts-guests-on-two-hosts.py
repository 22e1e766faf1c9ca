#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region that a command line maps privately is a template: several guests on two hosts start from
what it holds at the same time, see none of each other's writes, and leave it as it is. A file whose
content gvm run could only lose is refused, and one without any is replaced."""

import os

import lab
from lab import expect, program
from qtest import Qtest
from remote import Mount, Node

MIB = 1 << 20
RAM = 32
MARK = 0x1800000


def command(l, mount, name, mode, *memory):
    return [program("gvm"), "run", "--local", "16M", "--mode", mode, "--mount", mount.path, "--",
            "qemu-system-x86_64", "-accel", "tcg", "-S", "-m", str(RAM), "-nodefaults", "-display", "none",
            "-qtest", "unix:%s,server=on,wait=off" % l.path(name), "-qtest-log", "none", *memory]


def backend(path, *more):
    return ["-machine", "q35,memory-backend=ram", "-object",
            ",".join(["memory-backend-file,id=ram,size=%dM,mem-path=%s" % (RAM, path.replace(",", ",,")), *more])]


def fill(path):
    with open(path, "r+b") as f:
        f.seek(MARK)
        f.write(b"\x5a" * 8192)


def clones(l, mounts):
    """Two on each host, by a backend and by -mem-path, on either path."""
    started = []
    for i, mount in enumerate(mounts * 2):
        path, name = mount.file("a template"), "clone%d" % i
        memory = backend(path, "share=off") if i < 2 else ["-mem-path", path]
        run = l.start("gvm-run", *command(l, mount, name, "fuse" if i % 2 else "auto", *memory))
        started.append((run, Qtest(run, l.path(name))))
    for i, (run, qtest) in enumerate(started):
        qtest.expect(MARK, 8192, 0x5a)
        qtest.fill(MARK, 4096, i)
    for i, (run, qtest) in enumerate(started):
        qtest.expect(MARK, 4096, i)
        qtest.expect(MARK + 4096, 4096, 0x5a)
        expect("mapped privately" in run.log(), "nothing is said of it: %s", run.log())
    for run, qtest in started:
        run.signal(15)
        run.wait(30)
    for mount in mounts:
        with open(mount.file("a template"), "rb") as f:
            f.seek(MARK)
            expect(f.read(8192) == b"\x5a" * 8192, "the template was written to")
        expect(os.listdir(mount.path) == ["a template"], "left: %s", os.listdir(mount.path))


def own_region(l, mount):
    """A shared mapping of a region that is there: the guest has what it holds, and it is kept."""
    path = mount.region("own", RAM * MIB)
    fill(path)
    for value in (0x5a, 0x77):
        run = l.start("gvm-run", *command(l, mount, "own", "auto", *backend(path, "share=on")))
        qtest = Qtest(run, l.path("own"))
        qtest.expect(MARK, 4096, value)
        qtest.fill(MARK, 4096, 0x77)
        run.signal(15)
        run.wait(30)
    os.unlink(path)


def other_files(l, mount):
    path = l.path("ram,file")
    with open(path, "wb") as f:
        f.truncate(RAM * MIB)
    run = l.start("gvm-run", *command(l, mount, "hole", "auto", *backend(path, "share=on")))
    Qtest(run, l.path("hole")).expect(MARK, 4096, 0)
    expect("left out" in run.log(), "it says %s", run.log())
    run.signal(15)
    run.wait(30)
    fill(path)
    for memory in (backend(path, "share=on"), backend(path), ["-mem-path", path]):
        run = l.start("gvm-run", *command(l, mount, "none", "auto", *memory))
        expect(run.wait(20) == 1 and "start with" in run.log(), "status %s: %s", run.popen.returncode,
               run.log())
    run = l.start("gvm-run", *command(l, mount, "none", "uffd", "-mem-path", mount.file("a template")))
    expect(run.wait(20) == 1 and "privately" in run.log(), "status %s: %s", run.popen.returncode, run.log())


def test(l):
    node = Node(l, "128M")
    first = Mount(l, [node], name="one")
    fill(first.region("a template", RAM * MIB))
    first.unmount()
    mounts = [Mount(l, [node], name="one"), Mount(l, [node], name="two")]
    clones(l, mounts)
    own_region(l, mounts[0])
    other_files(l, mounts[0])


lab.main(test)
