#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM that was saved, or is migrated, under plain QEMU goes on under `gvm run`, and the reverse:
savevm and loadvm, migration through a file and over a socket, for pc, q35 and microvm and for a
user's own NUMA backends, on the fast path and on a mapped file. What the guest's memory held is
there."""

import os

import lab
from lab import expect, program, wait_for
from monitor import Monitor
from qtest import Qtest
from remote import Mount, Node

RAM = 64
MARK = 0x1800000  # where no firmware puts anything
FULL = ("savevm", "file", "socket")
CASES = (  # machine, further options, what is tried in either direction, on which path
    ("pc", (), FULL, "auto"),
    ("q35", (), FULL, "fuse"),
    ("microvm", (), ("savevm", "file"), "auto"),
    ("q35", ("-object", "memory-backend-ram,id=m0,size=%dM" % RAM, "-numa", "node,memdev=m0"),
     ("file",), "auto"),
    ("pc-i440fx-2.9", (), ("savevm",), "fuse"),
    ("pc-i440fx-2.9,memory-backend=own", ("-object", "memory-backend-ram,id=own,size=%dM" % RAM), ("file",),
     "auto"),
)


class Guest:
    """A firmware that runs, plain or under gvm run."""

    def __init__(self, l, mount, machine, options, mode, disk, *more):
        self.mode, self.path = mode, l.path("guest-%d" % len(l.processes))
        command = ["qemu-system-x86_64", "-machine", machine, "-accel", "tcg", "-m", str(RAM), "-nodefaults", "-display", "none",
                   "-drive", "if=none,id=d,file=" + disk, *options,
                   "-qmp", "unix:%s.qmp,server=on,wait=off" % self.path,
                   "-qtest", "unix:%s.qtest,server=on,wait=off" % self.path, "-qtest-log", "none", *more]
        if mode:
            command = [program("gvm"), "run", "--local", "32M", "--mode", mode, "--mount", mount.path,
                       "--", *command]
        self.process = l.start("gvm-run" if mode else "qemu", *command)
        self.memory = Qtest(self.process, self.path + ".qtest")
        self.monitor = Monitor(self.path + ".qmp")

    def hmp(self, line):
        return self.monitor.do("human-monitor-command", **{"command-line": line}).strip()

    def runs_with_mark(self):
        status = wait_for("the guest runs", lambda: self.running() and self.hmp("info status"))
        expect(status == "VM status: running", "%s", status)
        self.memory.expect(MARK, 8192, 0x5a)

    def running(self):
        expect(self.process.running(), "it ended with status %s:\n%s", self.process.popen.returncode,
               self.process.log())
        return self.hmp("info status") == "VM status: running"

    def migrate(self, to):
        self.hmp("migrate -d " + to)
        wait_for("it is migrated", lambda: self.monitor.do("query-migrate")["status"] == "completed")

    def end(self):
        self.monitor.do("quit")
        self.process.succeed(30)
        expect(self.mode != "auto" or ": uffd, with" in self.process.log(), "it was not on the fast path: %s",
               self.process.log())


def by_savevm(start, before, after):
    first = start(before)
    first.memory.fill(MARK, 8192, 0x5a)
    said = first.hmp("savevm one")
    expect(not said, "savevm: %s", said)
    first.end()
    second = start(after, "-loadvm", "one")
    second.runs_with_mark()
    second.end()


def by_file(start, before, after):
    first = start(before)
    first.memory.fill(MARK, 8192, 0x5a)
    first.migrate("exec:cat>%s.state" % first.path)
    first.end()
    second = start(after, "-incoming", "exec:cat %s.state" % first.path)
    second.runs_with_mark()
    second.end()


def by_socket(start, before, after):
    first = start(before)
    first.memory.fill(MARK, 8192, 0x5a)
    second = start(after, "-incoming", "unix:%s.live" % first.path)
    first.migrate("unix:%s.live" % first.path)
    first.end()
    second.runs_with_mark()
    second.end()


WAYS = {"savevm": by_savevm, "file": by_file, "socket": by_socket}


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    disk = l.path("disk.qcow2")
    for machine, options, ways, mode in CASES:
        for way in ways:
            for before, after in ((None, mode), (mode, None)):
                # a disk for each: two guests at a time must not share one
                count = iter(range(9))
                if way == "savevm":
                    l.run("qemu-img", "create", "-qf", "qcow2", disk, "1M")

                def start(which, *more):
                    own = disk
                    if way != "savevm":
                        own = "%s.%d" % (disk, next(count))
                        l.run("qemu-img", "create", "-qf", "qcow2", own, "1M")
                    return Guest(l, mount, machine, options, which, own, *more)
                WAYS[way](start, before, after)
                l.log("%s, %s, from %s to %s", machine, way, before or "plain", after or "plain")
    expect(not os.listdir(mount.path), "regions are left: %s", os.listdir(mount.path))


lab.main(test)
