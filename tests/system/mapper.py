#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that maps a region and does with its memory what it is told: what QEMU is to gvmfs, with
a test as its guest. As a module, the test's end of it.

    mapper.py FILE COMMANDS

reads lines from the pipe COMMANDS: `fill OFFSET BYTES SEED`, `check OFFSET BYTES SEED` (contents as
access.py makes them), `byte OFFSET BYTES VALUE`, `noise OFFSET BYTES` (incompressible), `touch OFFSET BYTES`, `throng OFFSET BYTES` (a page of each chunk, all at once and in no order), `latency OFFSET BYTES TOUCHES` (of pages
at random: says "latency P50 P99", in microseconds), `churn OFFSET BYTES SECONDS` (reads and writes pages at random, and
checks them: says "churn ACCESSES P50 P99 LONGEST", in microseconds), `stir OFFSET BYTES` (the same in another thread, until `stirred`), `forget OFFSET BYTES` (madvise(MADV_DONTNEED)),
`punch OFFSET BYTES` (a hole, by the file), `vfio` (opens its device), `direct` (opens a file for direct I/O), `unmap`, `end`; answers each
with a line "done N" or "N: what went wrong". With WRITES_FIRST in its environment it opens the file,
and when it has read a first line writes four pages of seed 5 to it before it maps.
"""

import ctypes
import mmap
import os
import random
import sys
import tempfile
import threading
import time

from access import PAGE, content, differ

CHUNK = 32 * PAGE


class Mapper:
    """One under the preloaded library, with the fast path unless a mode says otherwise."""

    def __init__(self, lab, path, mode="auto", waits=True, before=(), script=os.path.abspath(__file__), **env):
        from lab import program
        self.lab, self.number = lab, 0
        self.pipe_path = lab.path("commands-%d" % lab.number())
        os.mkfifo(self.pipe_path)
        self.process = lab.start("mapper", *before, sys.executable, script, path,
                                 self.pipe_path,
                                 env={"LD_PRELOAD": program("libgvm-preload.so"), "GVM_MODE": mode,
                                      **env})
        self.pipe = os.fdopen(os.open(self.pipe_path, os.O_RDWR), "w", buffering=1)
        self.process.says("^mapped" if waits else "^opened")

    def ask(self, *words):
        self.number += 1
        print(*words, file=self.pipe)

    def answer(self, seconds=30):
        from lab import expect
        said = self.process.says(r"^(done %d$|%d: .*)" % (self.number, self.number), seconds)
        expect(said.group(1).startswith("done"), "mapper: %s", said.group(1))

    def do(self, *words, seconds=30):
        self.ask(*words)
        self.answer(seconds)

    def end(self):
        self.ask("end")
        self.pipe.close()
        self.process.wait(20)


def punch(fd, offset, length):
    keep_size, punch_hole = 1, 2
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, keep_size | punch_hole, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def churn(memory, offset, length, seconds, over=threading.Event()):
    """Every page that is looked at has the number that was last written to it."""
    numbers, took, end = {}, [], time.monotonic() + seconds
    for number in range(1, 1 << 32):
        page = random.randrange(length // PAGE)
        at = offset + page * PAGE
        began = time.perf_counter_ns()
        found = memory[at:at + 8]
        if page in numbers and int.from_bytes(found, "little") != numbers[page]:
            return "page %d has %s instead of %d" % (page, found.hex(), numbers[page])
        memory[at:at + 64] = number.to_bytes(8, "little") + os.urandom(56)
        took.append(time.perf_counter_ns() - began)
        numbers[page] = number
        if time.monotonic() > end or over.is_set():
            break
    took.sort()
    print("churn", len(took), took[len(took) // 2] // 1000, took[len(took) * 99 // 100] // 1000, took[-1] // 1000,
          flush=True)
    return None


class Stirring(threading.Thread):
    def __init__(self, *args):
        super().__init__()
        self.args, self.over, self.wrong = args, threading.Event(), None
        self.start()

    def run(self):
        self.wrong = churn(*self.args, 1e9, self.over)


def obey(fd, memory, word, offset=0, length=0, seed=0):
    if word == "fill":
        memory[offset:offset + length] = content(offset, length, seed)
    elif word == "check":
        for at in range(offset, offset + length, PAGE):
            wanted = content(at, PAGE, seed)
            if memory[at:at + PAGE] != wanted:
                return differ(memory[at:at + PAGE], wanted, at)
    elif word == "noise":
        memory[offset:offset + length] = os.urandom(length)
    elif word == "byte":
        memory[offset:offset + length] = bytes([seed]) * length
    elif word == "touch":
        for at in range(offset, offset + length, PAGE):
            memory[at]
    elif word == "throng":
        with tempfile.TemporaryFile() as file, memoryview(memory) as view:
            # The kernel touches the page: the interpreter would do one at a time.
            touching = [threading.Thread(target=os.pwrite, args=(file.fileno(), view[at:at + 1], 0))
                        for at in random.sample(range(offset, offset + length, CHUNK), length // CHUNK)]
            for thread in touching:
                thread.start()
            for thread in touching:
                thread.join()
    elif word == "latency":
        took = []
        for _ in range(seed):
            at = offset + random.randrange(length // PAGE) * PAGE
            began = time.perf_counter_ns()
            memory[at]
            took.append(time.perf_counter_ns() - began)
        took.sort()
        print("latency", took[len(took) // 2] // 1000, took[len(took) * 99 // 100] // 1000, flush=True)
    elif word == "churn":
        return churn(memory, offset, length, seed)
    elif word == "stir":
        obey.stirring = Stirring(memory, offset, length)
    elif word == "stirred":
        obey.stirring.over.set()
        obey.stirring.join()
        return obey.stirring.wrong
    elif word == "vfio":
        try:
            os.open("/dev/vfio/vfio", os.O_RDWR)
        except OSError:
            pass  # most machines have none: that it was asked for is what counts
    elif word == "direct":
        obey.direct = os.open(__file__, os.O_RDONLY | os.O_DIRECT)
    elif word == "unmap":
        memory.close()
    elif word == "punch":
        punch(fd, offset, length)
    elif word == "forget":
        memory.madvise(mmap.MADV_DONTNEED, offset, length)
    return None


def main():
    path, pipe = sys.argv[1:]
    fd = os.open(path, os.O_RDWR)
    with open(pipe) as commands:
        if os.environ.get("WRITES_FIRST"):
            print("opened", flush=True)
            commands.readline()
            os.pwrite(fd, content(0, 4 * PAGE, 5), 0)
        memory = mmap.mmap(fd, os.fstat(fd).st_size)
        print("mapped", flush=True)
        for number, line in enumerate(commands, 1):
            word, *numbers = line.split()
            if word == "end":
                break
            wrong = obey(fd, memory, word, *map(int, numbers))
            print("%d: %s" % (number, wrong) if wrong else "done %d" % number, flush=True)


if __name__ == "__main__":
    main()
