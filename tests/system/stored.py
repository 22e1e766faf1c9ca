# SPDX-License-Identifier: GPL-2.0-or-later
"""Flips bits of what a node holds in its memory, as memory without error correction does; and what a file shows then."""

import os
import random
import re
import signal

from lab import expect, wait_for  # first: it says where the others are
from access import PAGE
from remote import forget

CELL = 1024  # memnode/daemon/store.h
MIB = 1 << 20


def _arena(pid):
    """Begin and end of its largest mapping, which has the bytes of chunks and nothing else."""
    with open("/proc/%d/maps" % pid) as f:
        spans = [[int(word, 16) for word in re.match("(\\w+)-(\\w+) rw", line).groups()]
                 for line in f if re.match("\\w+-\\w+ rw", line)]
    return max(spans, key=lambda span: span[1] - span[0])


def _state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0]


def _backed(pid, first, last):
    """Pages of it that are there."""
    with open("/proc/%d/pagemap" % pid, "rb") as f:
        f.seek(first // 4096 * 8)
        words = memoryview(f.read((last - first) // 4096 * 8)).cast("Q")
    return [first + 4096 * n for n, word in enumerate(words) if word >> 63]


def flip(pid, part, number):
    """One bit in this part of the cells that hold something. Gives how many; `number` chooses which."""
    chance, flips = random.Random(number), 0
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for("it stands still", lambda: _state(pid) == "T")
        with open("/proc/%d/mem" % pid, "r+b", buffering=0) as memory:
            for page in _backed(pid, *_arena(pid)):
                for cell in range(page, page + 4096, CELL):
                    if chance.random() >= part:
                        continue
                    at = cell + chance.randrange(CELL)
                    memory.seek(at)
                    byte = memory.read(1)[0]
                    memory.seek(at)
                    memory.write(bytes([byte ^ 1 << chance.randrange(8)]))
                    flips += 1
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(flips or part < 1, "nothing is stored there")
    return flips


def _flip_all(memory, first, held, page):
    """Wherever a part of the page lies, in a cell that is used or was: how often. (Its cells need not be adjacent: of the two parts one
    is in a single cell.)"""
    flips = 0
    for part in page[:64], page[CELL // 2:CELL // 2 + 64]:
        at = held.find(part)
        while at >= 0:
            os.pwrite(memory.fileno(), bytes([part[0] ^ 1]), first + at)
            flips += 1
            at = held.find(part, at + 1)
    return flips


def flip_in(pages):
    """pages: of each node's process, contents of pages, which it holds as they are: they do not compress. A bit of each, on all
    nodes while none of them runs."""
    for pid in pages:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in pages:
            wait_for("it stands still", lambda: _state(pid) == "T")
            with open("/proc/%d/mem" % pid, "r+b", buffering=0) as memory:
                first, last = _arena(pid)
                held = os.pread(memory.fileno(), last - first, first)
                for page in pages[pid]:
                    expect(_flip_all(memory, first, held, page), "it does not hold a page as it was stored")
    finally:
        for pid in pages:
            os.kill(pid, signal.SIGCONT)


def flip_kept(folder, count, number):
    """So many bits of what a node that does not run has of chunks on its disk: no two near each other. (What else
    it has there, after damage to which it begins anew, has many zeros.)"""
    chance = random.Random(number)
    name, = os.listdir(folder)
    with open(os.path.join(folder, name), "r+b", buffering=0) as kept:
        chunks = [at for at in range(MIB, os.fstat(kept.fileno()).st_size, 64 << 10)
                  if os.pread(kept.fileno(), 4096, at).count(0) < 100]
        for at in chance.sample(chunks, count):
            at += chance.randrange(4096)
            byte = os.pread(kept.fileno(), 1, at)[0]
            os.pwrite(kept.fileno(), bytes([byte ^ 1 << chance.randrange(8)]), at)


def tell(path, wanted):
    """How many pages of a file are right, and how many are an error: no other is allowed."""
    right = errors = 0
    forget(path)
    fd = os.open(path, os.O_RDWR)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for at in range(0, len(wanted), PAGE):
        try:
            found = os.pread(fd, PAGE, at)
        except OSError as why:
            expect(why.errno == 5, "page at %d: %s", at, why)
            errors += 1
            continue
        expect(found == wanted[at:at + PAGE], "the page at %d is wrong", at)
        right += 1
    os.close(fd)
    return right, errors
