#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A growth of which a node's answer is lost fails, though the node has reserved the room; or the worker dies meanwhile, and
nobody asks again. While the mount is the region's writer it takes the room back once the node is there."""

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


def grow(path):
    """In a process of its own, which may be killed."""
    return subprocess.Popen([sys.executable, "-c", "import os, sys; os.truncate(sys.argv[1], %d)" % MORE, path],
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
    gate.shut("resize", answers=True)
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


def test(l):
    nodes = [Node(l, "256M", name="node-%d" % i) for i in range(2)]
    gates = [Gate(node) for node in nodes]
    mount = Mount(l, gates, "--timeout", "3")
    lost_answer(l, mount, nodes, gates[0], "answer-lost", False)
    lost_answer(l, mount, nodes, gates[0], "worker-killed", True)
    lost_answer_and_closed(l, mount, nodes, gates[0])
    mount.unmount()


lab.main(test)
