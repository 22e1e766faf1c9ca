#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is done to a file in whatever order (writes, stores through a mapping, also behind the end, growth, truncation,
holes, zeros, copies within it, direct I/O, closing, killed workers, remounts), it holds what a plain
array of bytes would, and no hole is reported where that is not zero.

FSX_SEED and FSX_SECONDS choose the sequence, and how long it goes on; a failure prints both and the
last operations. With FSX_KILLS the worker is killed all the time, in the middle of operations, too. (Not in the check:
what the kernel writes back while there is no worker may take bytes from a write past the end, gvmfs.8 says how.)
"""

import collections
import ctypes
import mmap
import os
import random
import threading
import time

import lab
from lab import expect
from remote import Mount, Node

PAGE = 4096
MAX = 3 << 20
PUNCH, ZERO, KEEP = 0x02, 0x10, 0x01
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


class File:
    """A file and its model, with one descriptor and at most one mapping."""

    def __init__(self, l, mount, name, source, direct):
        self.l, self.mount, self.name, self.random, self.direct = l, mount, name, source, direct
        self.model = bytearray()
        self.memory, self.last_page = None, None
        self.log = collections.deque(maxlen=30)
        self.room = mmap.mmap(-1, MAX + PAGE)  # aligned, for direct I/O
        os.close(os.open(mount.file(name), os.O_RDWR | os.O_CREAT))
        self.open()

    def open(self):
        self.fd = os.open(self.mount.file(self.name),
                          os.O_RDWR | (os.O_DIRECT if self.direct else 0))

    def unmap(self):
        if self.memory:
            self.memory.close()
        self.memory = None

    def close(self):
        self.unmap()
        self.unmap_last_page()
        os.close(self.fd)

    def span(self, limit):
        """Begin and length within a limit, at pages with direct I/O, anywhere otherwise."""
        unit = PAGE if self.direct or self.random.random() < 0.3 else 1
        begin = self.random.randrange(max(1, limit // unit)) * unit  # a file may be smaller than a unit
        most = self.random.choice((PAGE, 3 * PAGE, 1 << 17, 1 << 19))
        length = max(unit, self.random.randrange(min(most, limit - begin) + 1) // unit * unit)
        return begin, min(length, limit - begin)

    def data(self, length):
        kind = self.random.random()
        if kind < 0.2:
            return bytes(length)
        if kind < 0.5:
            return bytes([self.random.randrange(1, 256)]) * length
        return self.random.randbytes(length)

    def put(self, begin, data):
        if len(self.model) < begin + len(data):
            self.model.extend(bytes(begin + len(data) - len(self.model)))
        self.model[begin:begin + len(data)] = data

    def same(self, what, begin, found):
        expected = bytes(self.model[begin:begin + len(found)])
        if found == expected:
            return
        at = next(i for i, (a, b) in enumerate(zip(found, expected)) if a != b)
        raise lab.Failure("%s: differs at %d: %r, not %r" %
                          (what, begin + at, found[at:at + 16], expected[at:at + 16]))

    def read_at(self, begin, length):
        if not self.direct:
            return os.pread(self.fd, length, begin)
        got = os.preadv(self.fd, [memoryview(self.room)[:length]], begin)
        return self.room[:got]

    # -- operations -------------------------------------------------------------------------

    def write(self):
        begin, length = self.span(MAX)
        data = self.data(length)
        if self.direct:
            self.room[:length] = data
            data_at = memoryview(self.room)[:length]
        else:
            data_at = data
        done = 0
        while done < length:
            done += os.pwrite(self.fd, data_at[done:], begin + done)
        self.put(begin, data)
        return begin, length

    def read(self):
        if not self.model:
            return None
        begin, length = self.span(len(self.model))
        self.same("read", begin, self.read_at(begin, length))
        return begin, length

    def mapped(self):
        if self.memory is None or len(self.memory) != len(self.model):
            self.unmap()
            self.memory = mmap.mmap(self.fd, len(self.model))
        return self.memory

    def store(self):
        if not self.model:
            return None
        begin, length = self.span(len(self.model))
        data = self.data(length)
        self.mapped()[begin:begin + length] = data
        self.put(begin, data)
        return begin, length

    def load(self):
        if not self.model:
            return None
        begin, length = self.span(len(self.model))
        self.same("load", begin, self.mapped()[begin:begin + length])
        return begin, length

    def unmap_last_page(self):
        if self.last_page:
            libc.munmap(ctypes.c_void_p(self.last_page), PAGE)
        self.last_page = None

    def spoil(self):
        """Stores behind the end, where nothing is the file's."""
        end = len(self.model) % PAGE
        if not end:
            return None
        self.unmap_last_page()
        self.last_page = libc.mmap(None, PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, self.fd,
                                   len(self.model) - end)
        expect(self.last_page != ctypes.c_void_p(-1).value, "mmap: %s", os.strerror(ctypes.get_errno()))
        ctypes.memset(self.last_page + end, 0xee, PAGE - end)
        if self.random.random() < 0.3:
            libc.msync(ctypes.c_void_p(self.last_page), PAGE, 4)
        if self.random.random() < 0.3:
            self.unmap_last_page()
        return len(self.model)

    def write_near(self):
        """Past the end, but in the same page if there is room."""
        if self.direct or len(self.model) + PAGE > MAX:
            return None
        begin = len(self.model) + self.random.randrange(PAGE)
        data = self.data(self.random.randrange(1, 2 * PAGE))[:MAX - begin]
        os.pwrite(self.fd, data, begin)
        self.put(begin, data)
        return begin, len(data)

    def msync(self):
        if self.memory:
            self.memory.flush()

    def munmap(self):
        self.unmap()

    def truncate(self):
        size = self.random.choice((0, self.random.randrange(MAX), self.random.randrange(MAX),
                                   self.random.randrange(MAX // PAGE) * PAGE))
        self.unmap()
        os.ftruncate(self.fd, size)
        del self.model[size:]
        self.model.extend(bytes(size - len(self.model)))
        return size

    def grow(self):
        size = min(MAX, len(self.model) + self.random.randrange(1, 1 << 18))
        if size <= len(self.model):
            return None
        self.unmap()
        fallocate(self.fd, 0, len(self.model), size - len(self.model))
        self.model.extend(bytes(size - len(self.model)))
        return size

    def punch(self, mode=PUNCH | KEEP):
        if not self.model:
            return None
        begin, length = self.span(len(self.model))
        fallocate(self.fd, mode, begin, length)
        self.put(begin, bytes(length))
        return begin, length

    def zero(self):
        return self.punch(ZERO | self.random.choice((0, KEEP)))

    def copy_range(self):
        if len(self.model) < 4 * PAGE or self.direct:
            return None
        begin, length = self.span(len(self.model) // 2)
        to = len(self.model) // 2 + self.random.randrange(len(self.model) // 2 - length + 1)
        data, done = bytes(self.model[begin:begin + length]), 0
        while done < length:
            done += os.copy_file_range(self.fd, self.fd, length - done, begin + done, to + done)
        self.put(to, data)
        return begin, to, length

    def fsync(self):
        os.fsync(self.fd)

    def forget(self):
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def seek(self):
        size, at = len(self.model), 0
        expect(os.fstat(self.fd).st_size == size, "the size is %d, not %d",
               os.fstat(self.fd).st_size, size)
        while at < size:
            try:
                data = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError:
                data = size
            expect(data >= at, "SEEK_DATA from %d gave %d", at, data)
            expect(not any(self.model[at:data]), "a hole from %d to %d has data", at, data)
            if data == size:
                break
            at = os.lseek(self.fd, data, os.SEEK_HOLE)
            # The same: zeros that were written have become a hole since.
            expect(data <= at <= size, "SEEK_HOLE from %d gave %d", data, at)

    def other_reader(self):
        fd = os.open(self.mount.file(self.name), os.O_RDONLY)
        try:
            self.same("another reader", 0, os.pread(fd, MAX, 0))
        finally:
            os.close(fd)

    def reopen(self):
        self.close()
        self.open()

    # -- the run ----------------------------------------------------------------------------

    COMMON = (write, read, store, load, store, load, punch, zero, truncate, grow, copy_range, spoil, spoil,
              write_near)
    RARE = (msync, munmap, fsync, forget, seek, seek, other_reader, reopen)

    def step(self):
        kind = self.random.choice(self.COMMON if self.random.random() < 0.75 else self.RARE)
        self.log.append((kind.__name__, kind(self)))

    def whole(self):
        found = b""
        while len(found) < len(self.model):
            more = self.read_at(len(found) // PAGE * PAGE if self.direct else len(found), MAX)
            expect(more, "short at %d", len(found))
            found += more
        self.same("all of it", 0, found)
        self.seek()


class Killer(threading.Thread):
    """Kills the worker at any moment of an operation, but none that is young: the mount would end."""

    def __init__(self, mount, seed):
        super().__init__(daemon=True)
        self.mount, self.random, self.over = mount, random.Random(seed), threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.4 + self.random.random() / 2):
            self.mount.kill_worker()

    def stop(self):
        self.over.set()
        self.join()


def run(l, node, seed, seconds, direct):
    source = random.Random(seed)
    mount = Mount(l, [node])
    f = File(l, mount, "direct" if direct else "cached", source, direct)
    end, steps, rounds = time.monotonic() + seconds, 0, 0
    try:
        while time.monotonic() < end:
            killer = Killer(mount, seed + rounds) if os.environ.get("FSX_KILLS") else None
            for _ in range(1200 if killer else 120):
                f.step()
                steps += 1
            if killer:
                killer.stop()
            f.whole()
            rounds += 1
            if rounds % 4 == 0:
                f.close()
                mount.unmount()
                f.mount = mount = Mount(l, [node])
                f.open()
            elif rounds % 4 == 2 and lab.features.fuse_resend():
                mount.kill_worker()
            f.whole()
    except (lab.Failure, OSError):
        l.log("FSX_SEED=%d FSX_SECONDS=%g, %s; the last steps: %s", seed, seconds, f.name,
              list(f.log))
        raise
    f.close()
    os.unlink(mount.file(f.name))
    mount.unmount()
    l.log("%s: %d operations, %d rounds", f.name, steps, rounds)


def test(l):
    seed = int(os.environ.get("FSX_SEED", time.time_ns() // 1000 % 1000000))
    seconds = float(os.environ.get("FSX_SECONDS", 16))
    l.log("seed %d", seed)
    node = Node(l, "96M")
    for direct in (False, True):
        run(l, node, seed, seconds / 2, direct)


lab.main(test)
