#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that lent more than it has is full: what it refuses waits, with a message, and nothing is lost; a region that
has nothing there is read and written as ever; and as soon as there is room, what waited goes on."""

import os
import subprocess
import sys

import lab
from lab import expect
from remote import Mount, Node, forget

MIB = 1 << 20
HANGS = 30

WRITER = """import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
data = open(sys.argv[2], "rb").read()
for at in range(0, len(data), 131072):
    os.pwrite(fd, data[at:at + 131072], at)
os.fsync(fd)
print("all written", flush=True)
"""


def test(l):
    full = Node(l, "64M", "--overcommit", "4", name="full")
    wide = Node(l, "512M", name="wide")
    mount = Mount(l, [wide])
    mount.region("own", 16 * MIB)
    mount.unmount()
    mount = Mount(l, [full, wide])
    own = mount.file("own")
    l.write(own, 0, 16 * MIB, 1)
    filler = mount.region("filler", 120 * MIB)
    with open(filler, "r+b") as f:
        f.write(os.urandom(120 * MIB))
        os.fsync(f.fileno())
    source, tight = l.path("source"), mount.region("tight", 90 * MIB)
    with open(source, "wb") as f:
        f.write(os.urandom(90 * MIB))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tight, source], text=True, stdout=subprocess.PIPE)
    try:
        mount.says(r"the node is full", HANGS)
        for seed in range(3):
            l.write(own, 0, 16 * MIB, 10 + seed, seconds=HANGS)
            forget(own)
            l.check(own, 0, 16 * MIB, 10 + seed, seconds=HANGS)
        expect(writer.poll() is None, "the writer does not wait, though its node is full")
        os.unlink(filler)
        expect(writer.wait(HANGS) == 0, "the writer failed")
        expect("all written" in writer.stdout.read(), "the writer did not write all")
    finally:
        writer.kill()
        writer.wait()
    forget(tight)
    l.run("cmp", source, tight, seconds=60)
    mount.unmount()
    for node in (full, wide):
        node.end()


lab.main(test)
