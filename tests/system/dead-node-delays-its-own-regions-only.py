#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a node answers five seconds late, stands still, is cut off in silence or was killed, and whatever waits
for it (dirty pages of a mapping, writes, reads, guests of the fast path, opens, and other calls by the dozen):
regions that have nothing there are read, written, mapped, opened and listed as ever."""

import os
import subprocess
import sys
import time

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node, Relay, forget

MIB = 1 << 20
OWN = 16 * MIB
SIZE = 16 * MIB
REGIONS = 6
HANGS = 25

# Every other page: each is a WRITE of its own. fsync() begins them all.
DIRTY = """import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
sum(m[::4096])
print("mapped", flush=True)
sys.stdin.readline()
for at in range(0, len(m), 8192):
    m[at] = 1
print("dirty", flush=True)
os.fsync(fd)
"""
WRITE = """import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
print("opened", flush=True)
sys.stdin.readline()
for at in range(0, 8 << 20, 8192):
    os.pwrite(fd, os.urandom(4096), at)
"""
READ = """import os, sys, threading
fd = os.open(sys.argv[1], os.O_RDONLY)  # before the other reads: the kernel waits for these to drop what it has
print("opened", flush=True)
sys.stdin.readline()
for n in range(64):
    threading.Thread(target=os.pread, args=(fd, 4096, n * 131072)).start()
print("reading", flush=True)
"""


class Waiting:
    """Programs that will wait for the node."""

    def __init__(self):
        self.all = []

    def start(self, *command):
        process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        self.all.append(process)
        return process

    def python(self, script, *arguments):
        return self.start(sys.executable, "-c", script, *map(str, arguments))

    def count(self):
        return sum(process.poll() is None for process in self.all)

    def end(self):
        for process in self.all:
            process.kill()

    def gone(self):
        for process in self.all:
            process.wait(lab.patience(60))
            process.stdin.close()
            process.stdout.close()


def regions_on(l, node, **prefixes):
    """Regions that lie on that node alone."""
    mount = Mount(l, [node])
    for prefix, (count, size) in prefixes.items():
        for n in range(count):
            path = mount.region("%s-%d" % (prefix, n), size)
            if size > 1 * MIB:
                l.write(path, 0, size, 2)
    mount.unmount()


def say(processes, wanted):
    for process in processes:
        expect(process.stdout.readline().strip() == wanted, "it did not say %s", wanted)


def go(processes):
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def goes_on(l, mount, guest, seed):
    """Everything that a region which has nothing on the node is used for."""
    own = mount.file("own-0")
    began = time.monotonic()
    forget(own)
    ahead = mount.stats("own-0")["prefetched"]
    l.check(own, 0, OWN // 2, 2, seconds=HANGS)
    expect(mount.stats("own-0")["prefetched"] > ahead, "nothing is read ahead any more")
    mapped = l.access("map-check", own, OWN // 2, OWN // 4, 2)
    mapped.succeed(HANGS)
    l.write(own, OWN // 4 * 3, OWN // 8, seed, seconds=HANGS)
    l.access("map-write", own, OWN // 8 * 7, OWN // 8, seed).succeed(HANGS)
    forget(own)
    l.check(own, OWN // 4 * 3, OWN // 4, seed, seconds=HANGS)
    guest.do("fill", 0, 12 * MIB, seed, seconds=HANGS)
    ahead = mount.stats("own-1")["prefetched"]
    guest.do("check", 0, 12 * MIB, seed, seconds=HANGS)
    expect(mount.stats("own-1")["prefetched"] > ahead, "nothing is read ahead of the guest any more")
    l.log("data: %.1f s", time.monotonic() - began)
    for command in (["mkdir", mount.file("folder")], ["ls", "-l", mount.path], ["df", mount.path],
                    ["mv", own, own + "-moved"], ["mv", own + "-moved", own],
                    ["rmdir", mount.file("folder")]):
        l.run(*command, seconds=HANGS)
    return time.monotonic() - began


def beside(l, nodes, away, back, what):
    mount = Mount(l, nodes)  # names need a majority
    held = os.open(mount.file("own-0"), os.O_RDWR)  # what another host may write is not read ahead
    guest = Mapper(l, mount.file("own-1"))
    guest.process.says("uffd")
    mount.budget("own-1", 4 * MIB)
    theirs = [mount.file("theirs-%d" % n) for n in range(REGIONS)]
    guests = [Mapper(l, path) for path in theirs[4:6]]
    waiting = Waiting()
    for other in guests:
        other.do("touch", 0, MIB)
    dirty = [waiting.python(DIRTY, theirs[0])]
    writers = [waiting.python(WRITE, path) for path in theirs[1:3]]
    say(dirty, "mapped")
    say(writers, "opened")
    for path in theirs[1:4]:
        forget(path)
    quiet = goes_on(l, mount, guest, 3)
    away()
    try:
        go(dirty + writers)
        say(dirty, "dirty")
        readers = [waiting.python(READ, path) for path in theirs[2:4] * 2]
        say(readers, "opened")
        go(readers)
        say(readers, "reading")
        for number in range(40):
            rest = mount.file("rest-%d" % number)
            waiting.start(*[["truncate", "-s", "1M", rest], ["cat", rest], ["stat", rest],
                            ["sh", "-c", ": >> " + rest]][number % 4])
        for other in guests:
            other.ask("throng", 0, SIZE)
        time.sleep(1)
        took = goes_on(l, mount, guest, 4)
        l.log("%s: %.1f s instead of %.1f s beside %d programs that wait, %d write stalls", what, took,
              quiet, waiting.count(), mount.stats()["write_stalls"])
    finally:
        waiting.end()
        for other in guests:
            other.process.signal(9)
        back()
    waiting.gone()
    for other in guests:
        other.process.wait(60)
    guest.end()
    os.close(held)
    mount.unmount(60)


def test(l):
    nodes = [Node(l, "256M", name=name) for name in ("near", "third", "far")]
    near, third, far = nodes
    regions_on(l, near, own=(2, OWN))
    regions_on(l, far, theirs=(REGIONS, SIZE), rest=(40, 128 << 10))
    way = Relay(l, far)
    beside(l, [near, third, way.address], way.lengthen, way.shorten, "late")
    beside(l, nodes, far.stop, far.go_on, "stopped")
    beside(l, nodes, lambda: l.network.cut(far.port), l.network.heal, "cut off")
    beside(l, nodes, far.kill, far.start, "killed")  # what was there is LOST after that: the last


lab.main(test)
