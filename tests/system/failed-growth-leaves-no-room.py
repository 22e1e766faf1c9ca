#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A growth of which a node's answer is lost fails, though the node has reserved the room; or the worker dies meanwhile, and
nobody asks again. While the mount is the region's writer it takes the room back once the node is there. If the caller is still
there, what a node has reserved for it is not wanted twice: a region of most of the room is made, and grows, beside a worker's
death."""

import os
import signal
import subprocess
import sys

import lab
from gate import Gate
from lab import expect, wait_for
from remote import Mount, Node

CHUNK = 128 << 10
SIZE, MORE = 8 * CHUNK, 200 * CHUNK


def reserved(nodes):
    return [node.stats()["reserved_bytes"] for node in nodes]


def is_back(nodes, before):
    """But for the table of its chunks, which a node keeps for the most that a region ever had."""
    return all(now <= then + CHUNK for now, then in zip(reserved(nodes), before))


def grow(path, size=MORE):
    """In a process of its own, which may be killed."""
    return subprocess.Popen([sys.executable, "-c", "import os, sys; os.truncate(sys.argv[1], %d)" % size, path],
                            stderr=subprocess.DEVNULL)


def works(fd, path):
    """What there was is there, and it can grow, and be written, as ever."""
    expect(os.fstat(fd).st_size == SIZE, "its size is %d", os.fstat(fd).st_size)
    expect(os.pread(fd, SIZE, 0) == b"\x17" * SIZE, "what was written is not there")
    os.ftruncate(fd, MORE)
    os.pwrite(fd, b"\x18" * CHUNK, MORE - CHUNK)
    os.fsync(fd)
    os.ftruncate(fd, SIZE)


def lost_answer(l, mount, nodes, gate, name, dies):
    path = mount.region(name, SIZE)
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"\x17" * SIZE, 0)
    os.fsync(fd)
    before = reserved(nodes)
    gate.shut("resize", answers=True)
    caller = grow(path)
    wait_for("the node has reserved it", lambda: gate.held and not is_back(nodes, before))
    if dies:
        caller.send_signal(signal.SIGKILL)
        caller.wait(lab.patience(20))
        mount.kill_worker()
    else:
        expect(caller.wait(lab.patience(60)), "a growth that one node has not answered went well")
    gate.drop()
    wait_for("%s: the room is taken back" % name, lambda: is_back(nodes, before))
    works(fd, path)
    expect(is_back(nodes, before), "%s: %s is reserved, before: %s", name, reserved(nodes), before)
    os.close(fd)
    os.unlink(path)


def is_free(l, node):
    return "in use" not in l.run(lab.program("gvm"), "node", "--regions", node.address)


def lost_answer_and_closed(l, mount, nodes, gate):
    """Before the node is there again. Nobody opens the file any more."""
    path = mount.region("closed", SIZE)
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"\x17" * SIZE, 0)
    os.fsync(fd)
    before = reserved(nodes)
    gate.shut("resize", answers=True, both=True)  # (over another connection it would be taken back)
    caller = grow(path)
    wait_for("the node has reserved it", lambda: gate.held and not is_back(nodes, before))
    expect(caller.wait(lab.patience(60)), "a growth that one node has not answered went well")
    os.close(fd)
    wait_for("it is detached", lambda: is_free(l, nodes[1]))
    expect(not is_back(nodes, before), "it was taken back while the node did not answer")
    gate.drop()
    wait_for("the room is taken back", lambda: is_back(nodes, before))
    wait_for("it is free again", lambda: is_free(l, nodes[0]) and is_free(l, nodes[1]))
    fd = os.open(path, os.O_RDWR)
    works(fd, path)
    os.close(fd)
    os.unlink(path)


def most_of_the_room(l):
    """The room that the dead worker got is the region's own."""
    node = Node(l, "64M", name="small")
    gate = Gate(node)
    mount = Mount(l, [gate], "--timeout", "60", name="small-mount")
    found = os.statvfs(mount.path)
    most = found.f_bavail * found.f_frsize // 4 * 3 // CHUNK * CHUNK
    for name, what, at_first in ("made", "create", 0), ("grown", "resize", SIZE):
        path = mount.region(name, at_first)
        before, killed = node.stats()["reserved_bytes"], mount.stats()["restarts"]
        gate.shut(what, answers=True)
        caller = grow(path, most)
        wait_for("the node has reserved it", lambda: gate.held and node.stats()["reserved_bytes"] > before + most // 2)
        mount.kill_worker()
        gate.drop()
        mount.served_again(killed + 1)
        expect(caller.wait(lab.patience(60)) == 0, "%s: it failed beside a worker's death", name)
        expect(os.stat(path).st_size == most, "%s: its size is %d", name, os.stat(path).st_size)
        os.unlink(path)
    mount.unmount()


def test(l):
    most_of_the_room(l)
    nodes = [Node(l, "256M", name="node-%d" % i) for i in range(2)]
    gates = [Gate(node) for node in nodes]
    mount = Mount(l, gates, "--timeout", "3")
    lost_answer(l, mount, nodes, gates[0], "answer-lost", False)
    lost_answer(l, mount, nodes, gates[0], "worker-killed", True)
    lost_answer_and_closed(l, mount, nodes, gates[0])
    mount.unmount()


lab.main(test)
