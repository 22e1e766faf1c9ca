#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""However many regions read and write what lies on a stopped node, they leave room for others: a region
that has nothing there is read and written as ever."""

import os
import subprocess
import sys

import lab
from lab import expect
from remote import Mount, Node, forget

MIB = 1 << 20
REGIONS = 6
SIZE = 48 * MIB
HANGS = 25

WRITER = """import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
print("opened", flush=True)
sys.stdin.readline()
for at in range(16 << 20, int(sys.argv[2]), 131072):  # not what the readers hold locked
    os.pwrite(fd, os.urandom(131072), at)
print("all written", flush=True)
"""
READER = """import os, sys, threading
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
for n in range(64):
    threading.Thread(target=os.pread, args=(fd, 4096, n * 131072)).start()
print("reading", flush=True)
"""


def start(l, script, *arguments):
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test(l):
    nodes = [Node(l, "700M", name=name) for name in "ABC"]
    stopped = nodes[1]
    mount = Mount(l, [nodes[0], nodes[2]])
    own = mount.region("own", 16 * MIB)
    mount.unmount()
    mount = Mount(l, nodes)
    own = mount.file("own")
    l.write(own, 0, 16 * MIB, 1)
    regions = [mount.region("shared-%d" % n, SIZE) for n in range(REGIONS)]
    for path in regions:
        l.write(path, 0, 8 * MIB, 2)
        forget(path)
    forget(own)
    held = os.open(own, os.O_RDWR)
    writers = [start(l, WRITER, path, SIZE) for path in regions]
    for process in writers:
        process.stdout.readline()
    stopped.stop()
    try:
        readers = [start(l, READER, path) for path in regions]
        for process in readers:
            process.stdout.readline()
        l.check(own, 0, 4 * MIB, 1, seconds=HANGS)
        l.log("read beside %d readers", 64 * REGIONS)
        for process in writers:
            process.stdin.write("go\n")
            process.stdin.flush()
        lab.wait_for("writes wait", lambda: mount.stats()["write_stalls"] >= REGIONS // 2, 20)
        l.write(own, 8 * MIB, 4 * MIB, 5, seconds=HANGS)
        l.check(own, 4 * MIB, 4 * MIB, 1, seconds=HANGS)
        l.log("written with %d chunks staged", mount.stats()["staged_chunks"])
        expect(all(process.poll() is None for process in writers), "no writer waits")
    finally:
        for process in writers + readers:
            process.kill()
        stopped.go_on()
    for process in writers + readers:
        process.wait(30)
    os.close(held)
    l.check(own, 8 * MIB, 4 * MIB, 5, seconds=60)


lab.main(test)
