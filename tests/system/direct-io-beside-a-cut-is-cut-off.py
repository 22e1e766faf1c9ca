#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct I/O that waits for its pages while its file is made smaller: none of it fails, nor does the region; what was written
behind the new end is cut off, and nothing of it shows when the file grows later."""

import ctypes
import os
import subprocess
import sys

import lab
from gate import Gate
from lab import expect, skip, wait_for
from remote import Mount, Node, forget

CHUNK = 128 << 10
SIZE, CUT = 12 * CHUNK, 4 * CHUNK + 8192
OLD, NEW = b"\x31", b"\x32"
BYTES = 100  # of each: a part of a page, of which the rest has to be read first
WRITES = {"far behind the end": 9 * CHUNK + 700, "in the last chunk": CUT + 20000, "over the end": CUT - 50,
          "before the end": CHUNK + 700}
READS = {"far behind the end": 7 * CHUNK, "in the last chunk": CUT + 40960, "over the end": CUT - 4096,
         "before the end": 2 * CHUNK}
READ_BYTES = 8192
IO_SETUP, IO_GETEVENTS, IO_SUBMIT = 206, 208, 209  # x86-64: libaio is not everywhere


class Aio:
    def __init__(self, fd):
        self.libc, self.fd = ctypes.CDLL(None, use_errno=True), fd
        self.context, self.kept, self.results = ctypes.c_ulong(0), [], {}
        if self.libc.syscall(IO_SETUP, 64, ctypes.byref(self.context)):
            skip("aio", "io_setup: %s" % os.strerror(ctypes.get_errno()))

    def begin(self, name, opcode, buffer, count, offset):
        block = (ctypes.c_uint64 * 8)(len(self.kept), 0, opcode | self.fd << 32, ctypes.addressof(buffer), count, offset)
        self.kept.append((name, block, buffer))
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(block))
        expect(self.libc.syscall(IO_SUBMIT, self.context, 1, pointers) == 1, "io_submit: %s",
               os.strerror(ctypes.get_errno()))

    def look(self):
        """Whether all have ended."""
        events, none = (ctypes.c_int64 * (4 * 64))(), (ctypes.c_int64 * 2)(0, 0)
        for i in range(max(0, self.libc.syscall(IO_GETEVENTS, self.context, 0, 64, events, none))):
            self.results[self.kept[events[4 * i]][0]] = events[4 * i + 2]
        return len(self.results) == len(self.kept)


def buffer(size):
    room = ctypes.create_string_buffer(size + 4096)
    return (ctypes.c_char * size).from_buffer(room, -ctypes.addressof(room) % 4096)


def begin_all(fd):
    aio = Aio(fd)
    for name, at in WRITES.items():
        data = buffer(4096)
        ctypes.memset(data, NEW[0], BYTES)
        aio.begin("write " + name, 1, data, BYTES, at)
    for name, at in READS.items():
        aio.begin("read " + name, 0, buffer(READ_BYTES), READ_BYTES, at)
    return aio


def program(path):
    """Begins all, makes the file smaller, and says how each has ended and which size there is then."""
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    aio = begin_all(fd)
    print("begun", flush=True)
    sys.stdin.readline()
    os.ftruncate(fd, CUT)
    print("smaller", flush=True)
    while not aio.look():
        os.sched_yield()
    for name, _, data in aio.kept:
        result = aio.results[name]
        kind = "-" if name.startswith("write") else bytes(sorted(set(bytes(data)[:max(0, result)]))).hex() or "-"
        print("result", result, kind, name, flush=True)
    print("size", os.fstat(fd).st_size, flush=True)
    os.close(fd)


def judge(lines):
    size = 0
    for line in lines:
        word, rest = line.split(" ", 1)
        if word == "size":
            size = int(rest)
        if word != "result":
            continue
        result, kind, name = rest.split(" ", 2)
        if name.startswith("write"):
            expect(int(result) == BYTES, "%s: %s", name, result)
        else:
            expect(0 <= int(result) <= READ_BYTES, "%s: %s", name, result)
            expect(kind in ("-", OLD.hex(), "00", "00" + OLD.hex()), "%s: bytes %s are read", name, kind)
    expect(size == CUT, "its size is %d", size)


def race(l, mount, gates, name, answers):
    path = mount.region(name, SIZE)
    with open(path, "r+b", buffering=0) as f:
        f.write(OLD * SIZE)
        os.fsync(f)
    forget(path)
    for gate in gates:
        gate.shut("get", answers)
    process = subprocess.Popen([sys.executable, __file__, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    expect(process.stdout.readline() == "begun\n", "the program does not begin")
    wait_for("its pages are asked for", lambda: all(gate.held for gate in gates))
    process.stdin.write("\n")
    process.stdin.flush()
    expect(process.stdout.readline() == "smaller\n", "it cannot be made smaller")
    for gate in gates:
        gate.open()
    lines = process.stdout.read().splitlines()
    expect(process.wait(lab.patience(20)) == 0, "the program ended with status %s", process.returncode)
    l.log("%s: %s", name, "; ".join(lines))
    judge(lines)
    return path


def grow(path, name):
    """Nothing shows of what was cut off, and what is written then is kept."""
    expected = bytearray((OLD * CUT).ljust(SIZE, b"\0"))
    for at in WRITES.values():
        expected[at:at + BYTES] = (NEW * BYTES)[:max(0, CUT - at)].ljust(BYTES, b"\0")
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, SIZE)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    found = b"".join(os.pread(fd, CHUNK, at) for at in range(0, SIZE, CHUNK))
    wrong = next((at for at in range(SIZE) if found[at] != expected[at]), None)
    expect(wrong is None, "%s: byte %s is not right after it has grown", name, wrong)
    os.pwrite(fd, NEW * SIZE, 0)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(os.pread(fd, CHUNK, SIZE - CHUNK) == NEW * CHUNK, "%s: what is written then is not read", name)
    os.close(fd)


def test(l):
    nodes = [Node(l, "256M", name="node-%d" % i) for i in range(2)]
    gates = [Gate(node) for node in nodes]
    mount = Mount(l, gates)
    for name, answers in (("asked", False), ("answered", True)):
        path = race(l, mount, gates, name, answers)
        grow(path, name)
        os.unlink(path)
    mount.unmount()


if len(sys.argv) > 1:
    program(sys.argv[1])
else:
    lab.main(test)
