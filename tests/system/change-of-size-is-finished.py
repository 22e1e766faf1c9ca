#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region is made smaller, its caller is killed, and then the worker, wherever the change stands: before a node is
asked, with some of the nodes asked, with all of them but without their answers, while the rest of the last chunk is made
zero, before the name table has the new size. Once a node was asked the successor finishes the change, though nobody
sends it again; no access to what was cut off fails for ever, and none brings it back. What cannot be finished fails."""

import errno
import os
import signal
import subprocess
import sys

import lab
from gate import Gate
from lab import children, expect, wait_for
from remote import Mount, Node

CHUNK = 128 << 10
SIZE, CUT = 12 * CHUNK, 5 * CHUNK + 3000
BYTE, AFTER = b"\xab", b"\xcd"

# What is held: at which gates, which requests, or their answers, and whether a node may know of the change by then.
STEPS = {
    "before the nodes are asked": ("both", "discard", False, False),
    "one node is asked": ("one", "discard", False, True),
    "before they answer": ("both", "discard", True, True),
    "before one is resized": ("one", "resize", False, True),
    "before both are resized": ("both", "resize", False, True),
    "before they say that they are": ("both", "resize", True, True),
    "before the rest is zero": ("both", "put", False, True),
    "before it is known to be zero": ("both", "put", True, True),
    "before its name has the size": ("both", "name", False, True),
    "before that is known": ("both", "name", True, True),
}


def content(fd, what, size):
    """All of it can be read, and is what was written or, behind the cut, zeros."""
    found = b"".join(os.pread(fd, CHUNK, at) for at in range(0, size, CHUNK))
    expect(len(found) == size, "%s: %d bytes of %d are read", what, len(found), size)
    expected = (BYTE * CUT).ljust(size, b"\0")
    if found != expected:
        at = next(i for i in range(size) if found[i] != expected[i])
        expect(False, "%s: byte %d is %r", what, at, found[at:at + 1])


def is_cut(fd, step):
    """And grows again, and is written to."""
    content(fd, step, CUT)
    os.ftruncate(fd, SIZE)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    content(fd, step + ", grown again", SIZE)
    os.pwrite(fd, AFTER * (SIZE - CUT), CUT)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(os.pread(fd, CHUNK, SIZE - CHUNK) == AFTER * CHUNK, "%s: what is written then is not read", step)


def fill(mount, name):
    fd = os.open(mount.region(name, SIZE), os.O_RDWR)
    os.pwrite(fd, BYTE * SIZE, 0)
    os.fsync(fd)
    os.close(fd)


def cut(path):
    return subprocess.Popen([sys.executable, "-c", "import os, sys; os.truncate(sys.argv[1], %d)" % CUT, path],
                            stderr=subprocess.DEVNULL)


def opened(path):
    try:
        return os.open(path, os.O_RDWR)
    except OSError:
        return None


def step(l, mount, gates, name, step):
    which, op, answers, asked = STEPS[step]
    path = mount.file(name)
    gates = gates[:1] if which == "one" else gates
    for gate in gates:
        gate.shut(op, answers)
    caller = cut(path)
    some = any if op in ("put", "name") else all  # the rest of one chunk is on one node
    wait_for("%s: it is held" % step, lambda: some(gate.held for gate in gates))
    caller.send_signal(signal.SIGKILL)
    caller.wait(lab.patience(20))
    mount.kill_worker()
    for gate in gates:
        gate.drop()
    if asked:
        wait_for("%s: it has the new size" % step, lambda: os.stat(path).st_size == CUT)
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    expect(size in (SIZE, CUT), "%s: its size is %d", step, size)
    if size == SIZE:
        expect(not asked, "%s: it has the old size", step)
        os.ftruncate(fd, CUT)
    is_cut(fd, step)
    os.close(fd)
    os.unlink(path)
    l.log("%s: right", step)


def mount_dies_in_a_cut(l, gates, name):
    """With all of it, after the nodes have cut."""
    mount = Mount(l, gates)
    fill(mount, name)
    for gate in gates:
        gate.shut("resize", True)
    caller = cut(mount.file(name))
    wait_for("both are cut", lambda: all(gate.held for gate in gates))
    for pid in [mount.process.pid, *children(mount.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    for gate in gates:
        gate.drop()
    caller.wait(lab.patience(20))


def mount_dies(l, gates):
    """Nobody knows of the change then: the region keeps its size, and what was cut off are zeros that can be written."""
    name = "left"
    mount_dies_in_a_cut(l, gates, name)
    other = Mount(l, gates, name="other")
    fd = wait_for("it is free", lambda: opened(other.file(name)))
    expect(os.fstat(fd).st_size == SIZE, "its size is %d", os.fstat(fd).st_size)
    kept = CUT // CHUNK * CHUNK
    expect(os.pread(fd, kept, 0) == BYTE * kept, "what was not cut off is not there")
    expect(not any(os.pread(fd, CHUNK, SIZE - CHUNK)), "what was cut off is not zero")
    os.pwrite(fd, AFTER * (SIZE - kept), kept)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(os.pread(fd, CHUNK, SIZE - CHUNK) == AFTER * CHUNK, "what is written then is not read")
    os.close(fd)
    other.unmount()


def take_all_room(mount):
    """With a region that grows until the nodes promise no more."""
    path, size, more = mount.region("greedy", CHUNK), CHUNK, 64 << 20
    while more >= CHUNK:
        try:
            os.truncate(path, size + more)
            size += more
        except OSError as e:
            expect(e.errno == errno.ENOSPC, "it does not grow: %s", e)
            more //= 2
    return path


def mount_dies_and_nodes_are_full(l, gates):
    """The room that its old size took has been given to another: what its last writer began is brought to its end, in whole
    chunks, and it grows again when there is room."""
    name = "narrow"
    mount_dies_in_a_cut(l, gates, name)
    other = Mount(l, gates, name="heir")
    greedy = take_all_room(other)
    fd = wait_for("it can be opened", lambda: opened(other.file(name)))
    kept = -(-CUT // CHUNK) * CHUNK
    wait_for("it is as small as that", lambda: os.stat(other.file(name)).st_size == kept)
    other.says("brought to its end")
    expect(os.pread(fd, SIZE, 0) == BYTE * kept, "what was not cut off is not there")
    os.unlink(greedy)
    os.ftruncate(fd, SIZE)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(not any(os.pread(fd, SIZE, kept)), "what was cut off is not zero")
    os.pwrite(fd, AFTER * (SIZE - kept), kept)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(os.pread(fd, SIZE, 0) == BYTE * kept + AFTER * (SIZE - kept), "what is written then is not read")
    os.close(fd)
    other.unmount()


def cannot_end(l, gates, name, happens):
    """Once the change has begun, something happens with which it cannot be finished: it fails, as the region does, and nothing
    waits."""
    mount = Mount(l, gates)
    fill(mount, name)
    path = mount.file(name)
    for gate in gates:
        gate.shut("discard")
    caller = cut(path)
    wait_for("both are asked", lambda: all(gate.held for gate in gates))
    happens()
    for gate in gates:
        gate.drop()
    expect(caller.wait(lab.patience(60)), "%s: it was made smaller", name)
    mount.says("FAILED")
    mount.unmount()


def taken(l, nodes, name):
    other = Mount(l, nodes, name="taker")
    l.run(lab.program("gvm"), "region", "take", other.file(name))
    fd = os.open(other.file(name), os.O_RDWR)
    os.close(fd)
    other.unmount()


def node_is_replaced(l, nodes, gates, op):
    """A node of several does not come back with what it had: the change goes on once another has its place."""
    mount = Mount(l, gates, "--replicas", "2", "--repair-after", "1")
    fill(mount, op)
    path = mount.file(op)
    for gate in gates:
        gate.shut(op)
    caller = cut(path)
    wait_for("a node is asked", lambda: any(gate.held for gate in gates))
    held = next(i for i, gate in enumerate(gates) if gate.held)
    nodes[held].restart_empty()
    for gate in gates:
        gate.drop()
    expect(caller.wait(lab.patience(60)) == 0, "%s: it was not made smaller", op)
    fd = os.open(path, os.O_RDWR)
    is_cut(fd, op)
    wait_for("%s: all copies are there" % op, lambda: not mount.stats(op).get("slots_degraded"))
    os.close(fd)
    os.unlink(path)
    mount.unmount()


def test(l):
    nodes = [Node(l, "256M", name="node-%d" % i) for i in range(2)]
    gates = [Gate(node) for node in nodes]
    mount = Mount(l, nodes)
    for n in range(len(STEPS)):
        fill(mount, "region-%d" % n)
    mount.unmount()  # nothing of them is left to be done, or saved
    for n, name in enumerate(STEPS):
        mount = Mount(l, gates)  # another one each time: workers that die young end the mount
        step(l, mount, gates, "region-%d" % n, name)
        mount.unmount()
    mount_dies(l, gates)
    small = [Node(l, "64M", name="small-%d" % i) for i in range(2)]
    mount_dies_and_nodes_are_full(l, [Gate(node) for node in small])
    cannot_end(l, gates, "taken", lambda: taken(l, nodes, "taken"))
    cannot_end(l, gates, "forgotten", nodes[0].restart_empty)
    three = [Node(l, "256M", name="replica-%d" % i) for i in range(3)]
    for op in "discard", "resize":
        node_is_replaced(l, three, [Gate(node) for node in three], op)


lab.main(test)
