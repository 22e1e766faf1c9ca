#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults wait for the front thread and for the node alone: whichever other thread of gvmfs's worker, or process of
gvmfs, gets no CPU, pages that a node has still come. Each is held in turn, and cold pages are read meanwhile."""

import ctypes
import errno
import os
import signal

import lab
from access import PAGE, content
from lab import descendants, expect, skip, wait_for
from mapper import Mapper
from remote import Mount, Node

CHUNK = 32 * PAGE
TURNS = 64  # of helpers that stand still; in each a page is read of so many chunks:
FAR = 4
SIZE = TURNS * FAR * CHUNK
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
FRONT = "gvmfs-front"


def comm(folder):
    with open(folder + "/comm") as f:
        return f.read().strip()


class Thread:
    """Held by a tracer: only this one of its process's threads."""

    def __init__(self, worker, tid):
        self.tid, self.name = tid, comm("/proc/%d/task/%d" % (worker, tid))
        self.libc = ctypes.CDLL(None, use_errno=True)

    def _ptrace(self, what):
        if self.libc.ptrace(what, self.tid, None, None) < 0:
            if what == SEIZE and ctypes.get_errno() == errno.EPERM:
                skip("ptrace", "a thread cannot be held here")
            raise OSError(ctypes.get_errno(), "ptrace %s" % self.name)

    def stop(self):
        self._ptrace(SEIZE)
        self._ptrace(INTERRUPT)
        os.waitpid(self.tid, WALL)

    def go_on(self):
        self._ptrace(DETACH)


class Process:
    def __init__(self, pid):
        self.pid, self.name = pid, comm("/proc/%d" % pid)

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_for("%s stands still" % self.name, self.is_still)

    def is_still(self):
        with open("/proc/%d/stat" % self.pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)


def those_there(make, ids):
    """But for those that have ended meanwhile."""
    for number in ids:
        try:
            yield make(number)
        except (FileNotFoundError, ProcessLookupError):
            pass


def helpers(mount):
    """All but the front thread. The worker itself is no process to be stopped."""
    worker = mount.worker()
    threads = list(those_there(lambda tid: Thread(worker, tid), map(int, os.listdir("/proc/%d/task" % worker))))
    processes = list(those_there(Process, (pid for pid in (mount.process.pid, *descendants(mount.process.pid)) if pid != worker)))
    found = [t for t in threads if t.name != FRONT] + processes
    expect(len(threads) > len([t for t in threads if t.name != FRONT]), "no thread is %s", FRONT)
    return found


def read_cold(guest, turn):
    """Chunks that no read-ahead foresees."""
    for far in range(FAR):
        guest.do("check", (far * TURNS + turn * 27 % TURNS) * CHUNK, PAGE, 1, seconds=60)


def test(l):
    mount = Mount(l, [Node(l, "128M")])
    region = mount.region("ram", SIZE)
    with open(region, "r+b") as f:
        for chunk in range(0, SIZE, CHUNK):
            f.seek(chunk)
            f.write(content(chunk, PAGE, 1))
    guest = Mapper(l, region)
    guest.process.says("uffd")
    read_cold(guest, 0)
    names = []
    for turn, helper in enumerate(helpers(mount), 1):
        expect(turn < TURNS, "there are more: %s", names)
        fetched = mount.stats("ram")["chunks_fetched"]
        try:
            helper.stop()
        except ProcessLookupError:
            continue  # it has ended meanwhile
        read_cold(guest, turn)
        helper.go_on()
        # (One is counted when all of it is there, a moment after the page that is waited for.)
        wait_for("chunks came while %s stood still" % helper.name, lambda: mount.stats("ram")["chunks_fetched"] >= fetched + FAR)
        names.append(helper.name)
    for name in ("gvmfs-talk", "gvmfs-block", "gvmfs-spare", "gvmfs-sign", "gvmfs-closer", "gvmfs-pages"):
        expect(name in names, "%s did not stand still: %s", name, names)
    l.log("they stood still in turn: %s", " ".join(names))
    guest.end()
    mount.unmount()


lab.main(test)
