#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node of a region with two replicas that was left out, and answers again with its memory, is given what it missed, and
no more than that, while a program goes on writing; from then on it is enough for all of it: the other may die. A worker that
is killed in the middle changes nothing. So it is with what is sealed."""

import os
import re
import sys

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node
from sealing import key_file

MIB = 1 << 20
SIZE = 48 * MIB


def degraded(mount, name):
    return mount.stats(name)["slots_degraded"]


def whole(mount, name):
    wait_for("all copies are there again", lambda: not degraded(mount, name), 60)


def only_the_rest(test, mount, name, kept, other):
    """It was killed, and kept what it had."""
    path = mount.region(name, SIZE)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 1)
    whole(mount, name)  # one that stood still meanwhile was left out, and given that again

    def copied():
        return re.findall(r"%s.*has what its copies lacked: ([0-9.]+) MB" % name, mount.log())
    before = len(copied())
    kept.kill()
    test.write(path, 0, 2 * MIB, 2)
    os.fsync(writer)
    expect(degraded(mount, name), "nothing is degraded without one of two nodes")
    kept.start()
    whole(mount, name)
    wait_for("it says how much", lambda: len(copied()) > before)
    megabytes = sum(map(float, copied()[before:]))
    expect(megabytes < 6, "%.1f MB were copied for 2 that were missed", megabytes)
    other.stop()
    test.check(path, 0, 2 * MIB, 2)
    test.check(path, 2 * MIB, SIZE - 2 * MIB, 1)
    other.go_on()
    whole(mount, name)
    os.close(writer)
    os.unlink(path)


def beside_a_program(test, mount, hung, other, mode):
    """It is away while a program writes at random, and comes back while it does; then the other one dies."""
    name = "churned-" + mode
    mapper = Mapper(test, mount.region(name, SIZE), mode)
    if mode == "auto":
        mount.budget(name, SIZE // 4)
    mapper.do("fill", 0, SIZE, 3)
    mapper.ask("churn", 0, SIZE, 8)
    hung.stop()
    wait_for("it is left out", lambda: degraded(mount, name), 20)
    lab.time.sleep(1)
    hung.go_on()
    wait_for("some copies are there again", lambda: degraded(mount, name) < 512, 60)
    mount.kill_worker()
    whole(mount, name)
    other.kill()
    mapper.answer(60)
    mapper.do("fill", 0, SIZE, 4)
    mapper.do("check", 0, SIZE, 4)
    other.start()
    whole(mount, name)
    mapper.do("check", 0, SIZE, 4)
    mapper.end()


def main(test):
    nodes = []
    for name in ("one", "two"):
        os.mkdir(test.path(name))
        nodes.append(Node(test, "300M", "--persist", test.path(name), name=name))
    mount = Mount(test, nodes, "--replicas", "2", "--repair-rate", "40")
    only_the_rest(test, mount, "kept", *nodes)
    beside_a_program(test, mount, *nodes, "auto")
    beside_a_program(test, mount, nodes[1], nodes[0], "fuse")
    mount.unmount()
    mount = Mount(test, nodes, "--replicas", "2", "--repair-rate", "40", "--seal-key-file", key_file(test), name="sealed")
    only_the_rest(test, mount, "sealed", *nodes)


if __name__ == "__main__":
    sys.exit(lab.main(main))
