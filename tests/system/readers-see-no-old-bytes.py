#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What was written, and acknowledged, since another host opened a region for writing is seen at once by
readers that had it open before, with read() and in mappings: what they had cached is gone by then. Beside
threads that read without pause nobody sees more than the bytes before the last. A reader that has
stopped, or was killed, keeps no writer out."""

import mmap
import os
import signal
import threading
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node

SIZE = 4 << 20
PLACES = (0, 4096 * 33, SIZE - 4096)  # in several chunks
ROUNDS = 60


def number(data):
    return int.from_bytes(data[:8], "little")


class Reader:
    """Has a file open, and mapped."""

    def __init__(self, path, how=0, kind=mmap.MAP_SHARED):
        self.fd = os.open(path, os.O_RDONLY | how)
        try:
            self.view = mmap.mmap(self.fd, 0, kind, mmap.PROT_READ)
        except OSError:
            os.close(self.fd)
            raise

    def numbers(self):
        """The oldest of what read() and the mapping show."""
        return (min(number(os.pread(self.fd, 8, place)) for place in PLACES),
                min(number(self.view[place:place + 8]) for place in PLACES))

    def close(self):
        self.view.close()
        os.close(self.fd)


def write(fd, count):
    for place in PLACES:
        os.pwrite(fd, count.to_bytes(8, "little"), place)
    os.fsync(fd)


class Test:
    def __init__(self, l):
        node = Node(l, "96M")
        self.lab = l
        self.here, self.far = Mount(l, [node], name="here"), Mount(l, [node], name="far")
        self.far.region("ram", SIZE)
        self.path, self.far_path = self.here.file("ram"), self.far.file("ram")
        wait_for("the reader's host knows the file", lambda: os.path.exists(self.path))
        self.count = 0
        self.round()

    def round(self, check=lambda: None, path=None):
        """Another host opens, writes, and closes; `check` runs when the write is acknowledged, and again
        when the file is closed."""
        self.count += 1
        fd = os.open(path or self.far_path, os.O_RDWR)
        write(fd, self.count)
        check()
        os.close(fd)
        check()

    def at_once(self, reader):
        def check():
            seen = reader.numbers()
            expect(seen == (self.count, self.count), "after write %d read() gives %d, the mapping %d",
                   self.count, *seen)
        return check

    def soon(self, reader, what):
        wait_for(what, lambda: reader.numbers() == (self.count, self.count), pause=0.01)

    def opened_at_rest(self):
        wait_for("it can be mapped", lambda: can_be_mapped(self.path))
        reader = Reader(self.path)
        for turn in range(ROUNDS):
            self.round(self.at_once(reader))
            if turn % 20 == 19:
                time.sleep(0.15)  # long enough for a watch
                self.at_once(reader)()
        reader.close()

    def opened_past_the_page_cache(self):
        """And mapped all the same."""
        readers = [Reader(self.path, os.O_DIRECT)]
        writer = os.open(self.far_path, os.O_RDWR)
        readers.append(Reader(self.path, kind=mmap.MAP_PRIVATE))
        for reader in readers:
            reader.numbers()
        os.close(writer)
        for turn in range(ROUNDS):
            self.round(self.at_once(readers[turn % 2]))
        for reader in readers:
            reader.close()

    def opened_beside_its_own_writer(self):
        for _ in range(10):
            writer = wait_for("it can be opened here", lambda: os.open(self.path, os.O_RDWR))
            reader = Reader(self.path)
            self.count += 1
            write(writer, self.count)
            self.at_once(reader)()
            os.close(writer)
            self.round(self.at_once(reader))
            self.round(self.at_once(reader), self.path)
            self.round(self.at_once(reader))
            reader.close()

    def beside_threads(self):
        """They bring pages in again while they go: a few of those may be of the moment before."""
        wait_for("it can be mapped", lambda: can_be_mapped(self.path))
        readers = [Reader(self.path) for _ in range(3)]
        done = threading.Event()

        def read(reader):
            while not done.is_set():
                reader.numbers()

        threads = [lab.Thread(read, reader) for reader in readers[:2]]
        for thread in threads:
            thread.start()

        def check():
            seen = readers[2].numbers()
            expect(min(seen) >= self.count - 1, "after write %d read() gives %d, the mapping %d",
                   self.count, *seen)
        began = time.monotonic()
        try:
            for _ in range(ROUNDS):
                self.round(check)
            self.soon(readers[2], "the last of it is seen")
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.lab.log("%d openings beside readers: %.0f ms each", ROUNDS,
                     1e3 * (time.monotonic() - began) / ROUNDS)
        for reader in readers:
            reader.close()

    def opened_beside_a_writer(self):
        """They see each write of it, also beside each other."""
        writer = os.open(self.far_path, os.O_RDWR)
        readers = [os.open(self.path, os.O_RDONLY) for _ in range(3)]
        done = threading.Event()

        def read(fd, size, place):
            while not done.is_set():
                os.pread(fd, size, place)

        # Over the border of two chunks; and the page alone, which others want with its neighbours.
        threads = [lab.Thread(read, readers[0], 128 << 10, PLACES[1] - (64 << 10)),
                   lab.Thread(read, readers[1], 4096, PLACES[1])]
        for thread in threads:
            thread.start()
        try:
            for turn in range(5 * ROUNDS):
                self.count += 1
                os.pwrite(writer, self.count.to_bytes(8, "little"), PLACES[1])
                os.fsync(writer)
                seen = number(os.pread(readers[2], (8, 4 << 12)[turn % 2], PLACES[1]))
                expect(seen == self.count, "after write %d read() beside the writer gives %d", self.count, seen)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        for fd in readers + [writer]:
            os.close(fd)
        self.round()

    def two_readers_write(self):
        """Two hosts that have it open, and both open it for writing, do not keep each other out."""
        for path in (self.path, self.far_path):  # no longer beside the last writer
            wait_for("it can be mapped", lambda: can_be_mapped(path))
        readers = [Reader(self.path), Reader(self.far_path)]
        time.sleep(0.1)
        for _ in range(2):
            for reader in readers:
                reader.numbers()
            got, began = [], time.monotonic()

            def open_it(path):
                try:
                    got.append(os.open(path, os.O_RDWR))
                except OSError:
                    pass
            threads = [threading.Thread(target=open_it, args=(path,)) for path in (self.path, self.far_path)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.lab.log("two openings at once: %.2f s", time.monotonic() - began)
            expect(len(got) == 1, "%d of two hosts could open it for writing", len(got))
            os.close(got[0])
            self.soon(readers[0], "the reader goes on")
            time.sleep(0.2)
        for reader in readers:
            reader.close()

    def killed(self):
        wait_for("it can be mapped", lambda: can_be_mapped(self.path))
        reader = Reader(self.path)
        for _ in range(3):
            self.at_once(reader)()
            self.here.kill_worker()
            self.round(self.at_once(reader))
        reader.close()

    def stopped(self):
        wait_for("it can be mapped", lambda: can_be_mapped(self.path))
        reader = Reader(self.path)
        time.sleep(0.15)
        self.at_once(reader)()
        os.kill(self.here.worker(), signal.SIGSTOP)
        began = time.monotonic()
        try:
            self.round()
        finally:
            os.kill(self.here.worker(), signal.SIGCONT)
        self.lab.log("an opening beside a stopped reader: %.2f s", time.monotonic() - began)
        self.soon(reader, "the reader, going on, sees it")
        reader.close()


def can_be_mapped(path):
    try:
        Reader(path).close()
        return True
    except OSError:
        return False


def test(l):
    t = Test(l)
    t.opened_at_rest()
    t.opened_past_the_page_cache()
    t.opened_beside_its_own_writer()
    t.beside_threads()
    t.opened_beside_a_writer()
    t.two_readers_write()
    t.killed()
    t.stopped()
    began = time.monotonic()
    t.round()
    l.log("an opening without readers: %.0f ms", 1e3 * (time.monotonic() - began))


lab.main(test)
