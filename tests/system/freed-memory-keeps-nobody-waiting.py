#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""To free the memory of a guest that has ended takes long; neither the process that replaces workers does it, nor,
when that is gone, the thread that serves all other guests."""

import os
import signal
import time

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node
from startup import serving

MIB = 1 << 20
SIZE = 384 * MIB


def freeing_seconds():
    """What it costs here."""
    fd = os.memfd_create("as-large")
    os.posix_fallocate(fd, 0, SIZE)
    began = time.thread_time()
    os.close(fd)
    return time.thread_time() - began


def cpu_seconds(pid, thread):
    with open("/proc/%d/task/%d/schedstat" % (pid, thread)) as f:
        return int(f.read().split()[0]) / 1e9


def front(worker):
    for thread in os.listdir("/proc/%d/task" % worker):
        with open("/proc/%d/task/%s/comm" % (worker, thread)) as f:
            if f.read().strip() == "gvmfs-front":
                return int(thread)
    raise lab.Failure("worker %d has no front" % worker)


def memories(pid):
    """How many regions' memories a process has."""
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass  # it was closed meanwhile
    return sum(link.startswith("/memfd:gvmfs-memory") for link in found)


def sleeps(pid, thread):
    with open("/proc/%d/task/%d/stat" % (pid, thread)) as f:
        return f.read().rpartition(")")[2].split()[0] == "S"


def guest_begins(l, mount, name):
    guest = Mapper(l, mount.region(name, SIZE))
    guest.process.says("uffd")
    guest.do("touch", 0, SIZE, seconds=120)
    return guest


def guest_ends(mount, guest, name, honest, threads):
    """What each of these threads, (process, thread), spends on it. Nothing is written back: the region is deleted."""
    os.unlink(mount.file(name))
    before, had = [cpu_seconds(*thread) for thread in threads], [memories(pid) for pid, _ in threads]
    guest.process.signal(signal.SIGKILL)
    # A descriptor is gone before the memory is freed.
    wait_for("its memory is given up", lambda: all(
        memories(thread[0]) < count and sleeps(*thread) for thread, count in zip(threads, had)))
    honest.do("check", 0, MIB, 1)
    return [cpu_seconds(*thread) - spent for thread, spent in zip(threads, before)]


def test(l):
    node = Node(l, "1G")
    mount = Mount(l, [node])
    honest = Mapper(l, mount.region("ram", 2 * MIB))
    honest.do("fill", 0, MIB, 1)
    first, second = guest_begins(l, mount, "first"), guest_begins(l, mount, "second")
    worker, supervisor = mount.worker(), mount.process.pid
    server = (worker, front(worker))
    cost = freeing_seconds()

    spent = guest_ends(mount, first, "first", honest, [server, (supervisor, supervisor)])
    expect(max(spent) < cost / 2, "front and supervisor took %s s, to free the memory takes %s s", spent, cost)
    mount.process.signal(signal.SIGKILL)
    wait_for("the worker says so", lambda: "will not be replaced" in mount.log())
    spent = guest_ends(mount, second, "second", honest, [server])
    expect(spent[0] < cost / 2, "the front took %s s, to free the memory takes %s s", spent, cost)
    honest.end()
    os.kill(worker, signal.SIGTERM)
    wait_for("nothing is left", lambda: not serving(mount.path))
    l.mounts.remove(mount)


lab.main(test)
