#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""More dirty pages of a mapping are written back to a stopped node, one by one, than the kernel lets a mount have
requests unanswered: a region on another node is written and synced as ever. What waits outlives a worker, reads as it was
written, and is on the node when it goes on."""

import subprocess
import sys

import lab
from lab import expect
from remote import Mount, Node, forget

MIB = 1 << 20
OWN = 16 * MIB
STRIDE = 8192  # a page between each two: each is a WRITE of its own
COUNT = 72000  # the kernel lets a mount have 65,535
SIZE = 600 * MIB
HANGS = 25

DIRTY = """import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
print("mapped", flush=True)
sys.stdin.readline()
for n in range(%d):
    at = n * %d
    m[at:at + 8] = (n + 1).to_bytes(8, "little")
m.flush()
print("flushed", flush=True)
sys.stdin.readline()
""" % (COUNT, STRIDE)


def check(path):
    """Whether the file reads as it was written, from the mount."""
    forget(path)
    with open(path, "rb") as f:
        for n in range(COUNT):
            f.seek(n * STRIDE)
            got = int.from_bytes(f.read(8), "little")
            expect(got == n + 1, "page %d reads as that of %d", n, got - 1)


def test(l):
    nodes = [Node(l, "1G", name=name) for name in ("near", "third", "far")]
    near, _, far = nodes
    for node, name, size in ((near, "own", OWN), (far, "theirs", SIZE)):
        mount = Mount(l, [node])
        mount.region(name, size)
        mount.unmount()
    mount = Mount(l, nodes, "--no-balance")
    own, theirs = mount.file("own"), mount.file("theirs")
    process = subprocess.Popen([sys.executable, "-c", DIRTY, theirs], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        expect(process.stdout.readline() == "mapped\n", "it is not mapped")
        far.stop()
        process.stdin.write("go\n")
        process.stdin.flush()
        lab.wait_for("all are written", lambda: mount.stats("theirs")["writes"] >= COUNT, 120)
        # Some thousand wait, and are sent to the successor; of the others, each 16 have a chunk.
        waiting = mount.stats("theirs")["staged_chunks"]
        expect(waiting > COUNT // 16 // 2, "%d chunks wait", waiting)
        mount.kill_worker()
        l.write(own, 0, OWN, 3, seconds=HANGS)
        l.access("map-write", own, OWN // 2, OWN // 2, 4).succeed(HANGS)
        forget(own)
        l.check(own, OWN // 2, OWN // 2, 4, seconds=HANGS)
        far.go_on()
        expect(process.stdout.readline() == "flushed\n", "the sync failed")
        check(theirs)
        left = mount.stats("theirs")["staged_chunks"]
        expect(left == 0, "%d chunks wait still", left)
    finally:
        far.go_on()
        process.kill()
        process.wait(60)
        process.stdin.close()
        process.stdout.close()


lab.main(test)
