#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that hangs while a guest works holds no access up for long, in both modes, if the region has two replicas: what it
does not answer is read elsewhere, and written without it; and many writes wait for it no longer than a few, also where the
worker is killed meanwhile. Where all hang, accesses wait, and none is left out."""

import os
import sys

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 48 * MIB
CHUNK = 128 << 10
SECONDS = 6
HANGS_AFTER = 2
LONGEST = 4  # seconds: below one on a machine that has nothing else to do, and no longer in each of some rides


def churning(test, mount, name, mode):
    path = mount.region(name, SIZE)
    mapper = Mapper(test, path, mode)
    if mode == "auto":
        mount.budget(name, SIZE // 4)
    mapper.do("fill", 0, SIZE, 3)
    mapper.ask("churn", 0, SIZE, SECONDS)
    return mapper


def ride_seconds(test, mount, node, name, mode):
    """The longest access."""
    mapper = churning(test, mount, name, mode)
    lab.time.sleep(HANGS_AFTER)
    node.stop()
    try:
        mapper.answer(60)
        said = mapper.process.says(r"^churn (\d+) (\d+) (\d+) (\d+)$")
        accesses, p50, p99, longest = map(int, said.groups())
        test.log("%s: %d accesses, p50 %d us, p99 %d us, longest %d ms", name, accesses, p50, p99, longest // 1000)
        mapper.end()
        return longest / 1e6
    finally:
        node.go_on()
        os.unlink(mount.file(name))


def ride(test, mount, node, name, mode):
    turns = iter(range(1, 100))
    longest = lab.best(lambda: ride_seconds(test, mount, node, "%s-%d" % (name, next(turns)), mode),
                       lambda longest: longest < LONGEST)
    expect(longest < LONGEST, "%s: an access took %.1f s", name, longest)


def none_left_out(test, mount, nodes, name, mode, seconds):
    """All nodes are silent for longer than one of several is waited for: accesses wait, and none fails."""
    mapper = churning(test, mount, name, mode)
    for node in nodes:
        node.stop()
    try:
        lab.time.sleep(seconds)
    finally:
        for node in nodes:
            node.go_on()
    mapper.answer(60)
    mapper.end()
    os.unlink(mount.file(name))
    return "[%s]: DEGRADED" % name not in mount.log()


def outlast(test, mount, nodes, name, mode, seconds):
    """One that goes on half a second after another has answered is left out, and rightly: that happens where there is no
    processor for it."""
    turns = iter(range(1, 100))
    found = lab.in_its_time(lambda: none_left_out(test, mount, nodes, "%s-%d" % (name, next(turns)), mode, seconds), bool)
    expect(found, "nodes were left out:\n%s", mount.log())


def sync_beside(test, mount, node, name, fd, chunks, kill=False):
    """How long an fsync() of so many chunks takes, from the moment on in which it hangs."""
    node.stop()
    try:
        for chunk in range(chunks):
            os.pwrite(fd, os.urandom(4096), chunk * CHUNK)
        if kill:
            mount.kill_worker()
        began = lab.time.monotonic()
        os.fsync(fd)
        took = lab.time.monotonic() - began
    finally:
        node.go_on()
    wait_for("it is given what it missed", lambda: not mount.stats(name)["slots_unanswered"] and
             not mount.stats(name)["slots_degraded"])
    return took


def syncs_wait_once(test, mount, node):
    name = "synced"
    fd = os.open(mount.region(name, SIZE), os.O_RDWR)
    test.write(mount.file(name), 0, SIZE, 1)

    def seconds():
        few, many = (sync_beside(test, mount, node, name, fd, chunks) for chunks in (8, 96))
        killed = sync_beside(test, mount, node, name, fd, 96, kill=True)
        test.log("an fsync of 8 chunks: %.2f s, of 96: %.2f s, and after the worker's death: %.2f s", few, many, killed)
        return few, many, killed
    few, many, killed = lab.best(seconds, lambda took: took[1] < 3 * took[0] and took[2] < 4 * took[0])
    os.close(fd)
    expect(many < 3 * few, "an fsync of 96 chunks took %.2f s, of 8 %.2f s", many, few)
    expect(killed < 4 * few, "an fsync after the worker's death took %.2f s, before it %.2f s", killed, few)


def main(test):
    nodes = [Node(test, "256M", name="node%d" % i) for i in range(3)]
    mount = Mount(test, nodes, "--replicas", "2")
    outlast(test, mount, nodes, "silent-fast-path", "auto", 3)
    outlast(test, mount, nodes, "silent-page-cache", "fuse", 1)
    syncs_wait_once(test, mount, nodes[2])
    ride(test, mount, nodes[0], "fast-path", "auto")
    ride(test, mount, nodes[1], "page-cache", "fuse")


if __name__ == "__main__":
    sys.exit(lab.main(main))
