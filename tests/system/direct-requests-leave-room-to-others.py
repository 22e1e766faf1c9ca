#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""However many direct reads and writes a program begins for a stopped node (io_submit() waits for none), only so many
wait: what is more than its share fails, and a region on another node is read and written as ever. Those that wait succeed
once the node goes on."""

import ctypes
import errno
import os
import subprocess
import sys

import lab
from lab import expect, skip
from remote import Mount, Node, forget

MIB = 1 << 20
SIZE = 64 * MIB
COUNT = 40000
HANGS = 25

IO_SETUP, IO_GETEVENTS, IO_SUBMIT = 206, 208, 209  # x86-64: libaio is not everywhere
PREAD, PWRITE = 0, 1


class Aio:
    """Direct I/O of one page each, all of them begun before any is waited for."""

    def __init__(self, path, count):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.context = ctypes.c_ulong(0)
        self.room = ctypes.create_string_buffer(os.urandom(2 * 4096))
        self.page = (ctypes.addressof(self.room) + 4095) & ~4095
        if self.libc.syscall(IO_SETUP, count, ctypes.byref(self.context)):
            raise OSError(ctypes.get_errno(), "io_setup")

    def begin(self, what, count):
        for at in range(0, count, 256):
            blocks = (ctypes.c_uint64 * (8 * 256))()
            for i in range(256):
                blocks[8 * i + 2] = what | self.fd << 32
                blocks[8 * i + 3] = self.page
                blocks[8 * i + 4] = 4096
                blocks[8 * i + 5] = (at + i) * 4096 % SIZE
            begun = 0
            while begun < 256:
                pointers = (ctypes.c_void_p * 256)(*[ctypes.addressof(blocks) + 64 * i for i in range(256)])
                n = self.libc.syscall(IO_SUBMIT, self.context, 256 - begun, ctypes.byref(pointers, 8 * begun))
                if n <= 0:
                    raise OSError(ctypes.get_errno(), "io_submit")
                begun += n

    def ended(self):
        """The results of those that have ended since the last look."""
        events, results = (ctypes.c_int64 * (4 * 1024))(), []
        none = (ctypes.c_int64 * 2)(0, 0)
        while True:
            n = self.libc.syscall(IO_GETEVENTS, self.context, 0, 1024, events, none)
            if n <= 0:
                return results
            results += [events[4 * i + 2] for i in range(n)]


def program(path):
    """Begins what each line that it reads says, and says what has ended when it reads an empty one."""
    try:
        aio = Aio(path, COUNT)
    except OSError as why:
        print("cannot: %s" % why, flush=True)
        return
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip():
            aio.begin(PWRITE if line.strip() == "write" else PREAD, COUNT // 256 * 256)
        results = aio.ended()
        print(len(results), results.count(-errno.ENOMEM), results.count(4096), flush=True)


class Flood:
    def __init__(self, path):
        self.process = subprocess.Popen([sys.executable, __file__, path], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            self.process.wait(10)
            skip("aio", said)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()]

    def end(self):
        self.process.kill()
        self.process.wait(60)
        self.process.stdin.close()
        self.process.stdout.close()


def flood(l, own, path, node, what, seed):
    begun = COUNT // 256 * 256
    process = Flood(path)
    node.stop()
    try:
        ended, refused, done = process.ask(what)

        def more():
            """Whether enough are refused by now."""
            nonlocal ended, refused, done
            ended, refused, done = (a + b for a, b in zip((ended, refused, done), process.ask("")))
            return refused > begun // 4

        lab.wait_for("most are refused", more, 30)
        expect(refused == ended - done, "%d ended, %d were refused and %d done", ended, refused, done)
        expect(done < begun // 8, "%d are done while their node is stopped: more than there are wbufs for", done)
        forget(own)
        l.check(own, 0, 16 * MIB, seed - 1, seconds=HANGS)
        l.write(own, 0, 16 * MIB, seed, seconds=HANGS)
        l.access("map-write", own, 16 * MIB, 8 * MIB, seed).succeed(HANGS)
        expect(begun - ended > 1000, "of %d only %d wait", begun, begun - ended)
        l.log("%s: %d refused, %d wait", what, refused, begun - ended)
        node.go_on()
        lab.wait_for("all have ended", lambda: more() and ended == begun, 60)
        expect(done == begun - refused, "of %d, %d were refused and %d done", begun, refused, done)
    finally:
        node.go_on()
        process.end()


def test(l):
    nodes = [Node(l, "256M", name=name) for name in ("near", "third", "far")]
    near, _, far = nodes
    for node, name in ((near, "own"), (far, "theirs")):
        mount = Mount(l, [node])
        l.write(mount.region(name, SIZE), 0, SIZE, 2)
        mount.unmount()
    mount = Mount(l, nodes, "--no-balance")
    own = mount.file("own")
    flood(l, own, mount.file("theirs"), far, "write", 3)
    flood(l, own, mount.file("theirs"), far, "read", 4)


if len(sys.argv) > 1:
    program(sys.argv[1])
else:
    lab.main(test)
