#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a dead node had of a region with two replicas is copied to other nodes while a program writes, and a node that began
anew is as good as any other: whoever is left after that is enough. A worker that is killed in the middle changes nothing, and
another host finds the copies where they are. Where no node has room it stays degraded, and goes on; where regions have taken all
that they get, what is kept for copies has room for those of a node."""

import errno
import os
import signal
import sys

import lab
from lab import children, expect, wait_for
from mapper import Mapper
from remote import Mount, Node, open_error

MIB = 1 << 20
SIZE = 48 * MIB
OPTIONS = "--replicas", "2", "--repair-after", "1", "--repair-rate", "40"


def degraded(mount, name):
    return mount.stats(name)["slots_degraded"]


def is_left_out(mount, name, node):
    """A node is killed, and it shows; its copies may be made anew by the time that somebody looks."""
    def times():
        return mount.log().count("[%s]: DEGRADED: of" % name)
    before = times()
    node.kill()
    wait_for("it is left out", lambda: times() > before)


def whole(mount, name):
    def is_whole():
        """Also of the chunks that have not left the dead node out yet."""
        stats = mount.stats(name)
        return not stats["slots_degraded"] and not stats["slots_unanswered"]
    wait_for("all copies are there again", is_whole, 120)


def beside_a_program(test, mount, nodes, mode):
    """One dies, then another, which is replaced by the first, begun anew; then the last that had anything before."""
    name = "churned-" + mode
    mapper = Mapper(test, mount.region(name, SIZE), mode)
    if mode == "auto":
        mount.budget(name, SIZE // 4)
    mapper.do("fill", 0, SIZE, 3)
    mapper.ask("churn", 0, SIZE, 10)
    is_left_out(mount, name, nodes[0])
    wait_for("some copies are there again", lambda: degraded(mount, name) < 300, 60)
    mount.kill_worker()
    whole(mount, name)
    is_left_out(mount, name, nodes[1])
    nodes[0].start()
    whole(mount, name)
    nodes[2].kill()
    mapper.answer(120)
    mapper.do("fill", 0, SIZE, 4)
    mapper.do("check", 0, SIZE, 4)
    nodes[1].start()
    whole(mount, name)
    nodes[2].start()
    mapper.end()


def on_another_host(test, mount, nodes):
    """The writer's host is lost after copies have moved."""
    path = mount.region("found", SIZE)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 5)
    nodes[0].kill()
    test.write(path, 0, SIZE, 6)
    os.fsync(writer)
    mount.says(r"\[found\].*DEGRADED", 20)  # its copies may be made anew by now
    whole(mount, "found")
    two = Mount(test, nodes[1:], "--timeout", "3", name="two")
    test.check(two.file("found"), 0, SIZE, 6)
    for pid in [mount.process.pid, *children(mount.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    os.close(writer)
    wait_for("another host attaches", lambda: open_error(two.file("found")) == 0, 30)
    test.check(two.file("found"), 0, SIZE, 6)
    os.unlink(two.file("found"))
    two.unmount()


def available(mount):
    found = os.statvfs(mount.path)
    return found.f_bavail * found.f_frsize


def beside_others(test, nodes):
    """Regions take all that they get; so that there is another they need what is kept."""
    mount = Mount(test, nodes, *OPTIONS, name="kept-mount")
    all_of_it = available(mount)
    size = all_of_it // 2 // MIB * MIB - MIB
    path = mount.region("large", size)
    expect(available(mount) < 4 * MIB, "%d of %d bytes are left", available(mount), all_of_it)
    with open(mount.file("another"), "xb") as f:
        try:
            f.truncate(8 * MIB)
            expect(False, "a region gets what is kept for copies")
        except OSError as error:
            expect(error.errno == errno.ENOSPC, "%s", error)
    mount.says(r"\[another\].*: \d+ are free, and \d+ kept for copies that are made anew")
    expect("kept for copies" in test.run(lab.program("gvm"), "stat", mount.path), "gvm stat does not say what is kept")
    writer = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(writer, size + 8 * MIB)
        expect(False, "a region grows into what is kept for copies")
    except OSError as error:
        expect(error.errno == errno.ENOSPC, "%s", error)
    test.write(path, 0, 8 * MIB, 7)
    is_left_out(mount, "large", nodes[0])
    whole(mount, "large")
    test.check(path, 0, 8 * MIB, 7)
    os.close(writer)
    os.unlink(path)
    os.unlink(mount.file("another"))
    mount.unmount()
    nodes[0].start()


def without_room(test):
    nodes = [Node(test, "64M", name="small%d" % i) for i in range(3)]
    beside_others(test, nodes)
    mount = Mount(test, nodes, *OPTIONS, "--repair-reserve", "0", name="small-mount")
    path = mount.region("large", 80 * MIB)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, 8 * MIB, 7)
    nodes[0].kill()
    mount.says("cannot be made anew", 30)
    expect(degraded(mount, "large"), "it is whole on two nodes that have no room")
    test.write(path, 0, 8 * MIB, 8)
    test.check(path, 0, 8 * MIB, 8)
    os.close(writer)


def main(test):
    nodes = [Node(test, "300M", name="node%d" % i) for i in range(3)]
    mount = Mount(test, nodes, *OPTIONS)
    beside_a_program(test, mount, nodes, "auto")
    beside_a_program(test, mount, nodes, "fuse")
    without_room(test)
    on_another_host(test, mount, nodes)


if __name__ == "__main__":
    sys.exit(lab.main(main))
