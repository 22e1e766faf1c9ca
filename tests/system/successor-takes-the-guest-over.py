#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest goes over from one QEMU to another on the same host, in the region that both map, without a
page of its RAM being copied; its region belongs to the second from then on. Where that cannot be,
gvm run says why."""

import os

import lab
from lab import expect, program, wait_for
from monitor import Monitor
from qtest import Qtest
from remote import Mount, Node

MIB = 1 << 20
RAM = 64


class Guest:
    def __init__(self, l, mount, name, *options, args=()):
        self.qmp, qtest = l.path(name + ".qmp"), l.path(name + ".qtest")
        self.run = start(l, mount, name, *options, args=(
            "-qtest", "unix:%s,server=on,wait=off" % qtest, "-qtest-log", "none",
            "-qmp", "unix:%s,server=on,wait=off" % self.qmp, *args))
        self.qtest = Qtest(self.run, qtest)
        self.monitor = Monitor(self.qmp)

    def ignore_shared(self):
        self.monitor.do("migrate-set-capabilities",
                        capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def status(self):
        return self.monitor.do("query-status")["status"]

    def end(self):
        self.monitor.do("quit")
        expect(self.run.wait(60) == 0, "%s ended badly", self.run.name)


def start(l, mount, name, *options, args=()):
    return l.start(name, program("gvm"), "run", "--local", "32M", "--mount", mount.path, "--region",
                   "ram", *options, "--", "qemu-system-x86_64", "-M", "q35", "-m", "%dM" % RAM,
                   "-accel", "tcg", "-nodefaults", "-display", "none", *args)


def refused(l, mount, why, *options, args=()):
    run = start(l, mount, "refused", *options, args=args)
    expect(run.wait(60) != 0, "it was not refused: %s", why)
    expect(why in run.log(), "it said:\n%s", run.log())


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    stream = "unix:" + l.path("stream")
    old = Guest(l, mount, "old", "--mode", "fuse")
    for at in range(16, RAM, 4):
        old.qtest.fill(at * MIB, 4 * MIB, at)
    refused(l, mount, "--take-over", "--mode", "fuse")
    refused(l, mount, "needs -incoming", "--mode", "fuse", "--take-over")
    new = Guest(l, mount, "new", "--take-over", args=("-incoming", stream))
    for guest in (old, new):
        guest.ignore_shared()
    old.monitor.do("migrate", uri=stream)
    wait_for("the guest is over there", lambda: new.status() == "running", 60)
    moved = old.monitor.do("query-migrate")
    expect(moved["status"] == "completed", "the migration: %s", moved)
    expect(moved["ram"]["transferred"] < 16 * MIB, "%d bytes of RAM were copied",
           moved["ram"]["transferred"])
    old.end()
    refused(l, mount, "in use by another gvm run", "--mode", "fuse")
    for at in range(16, RAM, 4):
        new.qtest.expect(at * MIB, 4096, at)
    new.end()
    expect(os.path.getsize(mount.file("ram")) == RAM * MIB, "the region is gone")
    with open(mount.file("ram"), "rb") as f:
        f.seek(20 * MIB)
        expect(f.read(4096) == bytes([20]) * 4096, "the region does not hold the guest's memory")
    # Where the fast path has the region there is no second user, and a sentence instead.
    fast = Guest(l, mount, "fast", "--mode", "uffd")
    refused(l, mount, "fast path", "--take-over", args=("-incoming", stream))
    fast.end()


lab.main(test)
