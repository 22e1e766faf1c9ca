#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""DIMMs and virtio-mem devices of the command line are in regions of their own, and so is memory that
is plugged into the running guest as a file of the mount: with the machine's RAM they share one budget,
and what is used most gets most of it. Nothing of any of them is lost, and the views of those of the command line show them
where the guest has them."""

import os
import struct
import time

import lab
from lab import expect, program, wait_for
from monitor import Monitor
from qtest import Qtest
from remote import Mount, Node

MIB = 1 << 20
LOCAL = 64 * MIB
PART = 128 * MIB
SLACK = 24 * MIB  # what may be on its way at the moment of looking


class Guest:
    def __init__(self, l, mount, mode, *devices):
        self.qmp, qtest = l.path(mode + ".qmp"), l.path(mode + ".qtest")
        self.run = l.start("run-" + mode, program("gvm"), "run", "--local", "%dM" % (LOCAL // MIB),
                           "--mode", mode, "--mount", mount.path, "--region", mode, "--",
                           "qemu-system-x86_64", "-M", "q35", "-m", "128M,slots=4,maxmem=4G", "-accel",
                           "tcg", "-S", "-nodefaults", "-display", "none", *devices,
                           "-qtest", "unix:%s,server=on,wait=off" % qtest, "-qtest-log", "none",
                           "-qmp", "unix:%s,server=on,wait=off" % self.qmp)
        self.qtest = Qtest(self.run, qtest)
        self.monitor = Monitor(self.qmp)

    def plugged(self):
        """Where each device's memory stands, by its id."""
        return {d["data"]["id"]: d["data"].get("addr") or d["data"].get("memaddr")
                for d in self.monitor.do("query-memory-devices")}

    def end(self):
        self.monitor.do("quit")
        expect(self.run.wait(60) == 0, "gvm run ended badly:\n%s", self.run.log())


def fill(guest, address, byte):
    for part in range(0, PART, 4 * MIB):
        guest.qtest.fill(address + part, 4 * MIB, byte)


def check(guest, address, byte):
    for part in range(0, PART, MIB):
        guest.qtest.expect(address + part, 256, byte)


def is_shown_where_it_is(mount, name, address):
    """By the first PT_LOAD with bytes of the region's core."""
    with open(mount.file(name + ".core"), "rb") as f:
        head = f.read(4096)
    count, = struct.unpack_from("<H", head, 56)
    shown = [struct.unpack_from("<IIQQQQ", head, 64 + 56 * i)[4:] for i in range(count)]
    expect(shown == [(address, PART)], "%s is at %#x, and shown as %s", name, address, shown)


def fast(l, mount):
    guest = Guest(l, mount, "uffd", "-object", "memory-backend-ram,id=d0,size=128M", "-device",
                  "pc-dimm,id=dimm0,memdev=d0")
    names = ["uffd", "uffd.d0"]
    expect(sorted(os.listdir(mount.path)) == names, "regions: %s", os.listdir(mount.path))
    guest.monitor.do("object-add", **{"qom-type": "memory-backend-file", "id": "d1", "size": PART,
                                      "mem-path": mount.file("later"), "share": True})
    guest.monitor.do("device_add", driver="pc-dimm", id="dimm1", memdev="d1")
    names.append("later")

    def here(name):
        return mount.stats(name).get("resident_bytes", 0)

    def local(name):
        try:
            return int(os.getxattr(mount.file(name), "user.gvm.local"))
        except OSError:
            return 0  # none was set yet

    wait_for("what was plugged in has a share", lambda: local("later"))
    wait_for("the shares add up", lambda: sum(map(local, names)) <= LOCAL)
    at, most = guest.plugged(), 0
    is_shown_where_it_is(mount, "uffd.d0", at["dimm0"])
    places = [(16 * MIB, 0x11), (at["dimm0"], 0x22), (at["dimm1"], 0x33)]
    for address, byte in places:
        if address == 16 * MIB:
            for part in range(16, 128, 4):
                guest.qtest.fill(part * MIB, 4 * MIB, byte)
        else:
            fill(guest, address, byte)
        most = max(most, sum(map(here, names)))
    expect(most <= LOCAL + SLACK, "%d MiB were here, the budget is %d", most // MIB, LOCAL // MIB)

    def later_has_most():
        fill(guest, at["dimm1"], 0x33)  # keeps it in use, and the others are not
        return local("later") > LOCAL * 2 // 3
    wait_for("the region in use gets most of the budget", later_has_most, 60, pause=0.2)
    check(guest, at["dimm1"], 0x33)
    check(guest, at["dimm0"], 0x22)
    guest.qtest.expect(64 * MIB, 4096, 0x11)
    guest.end()


def mapped(l, mount):
    guest = Guest(l, mount, "fuse", "-object", "memory-backend-ram,id=d0,size=128M", "-device",
                  "virtio-mem-pci,id=vm0,memdev=d0,requested-size=128M")
    expect(os.path.exists(mount.file("fuse.d0")), "regions: %s", os.listdir(mount.path))
    is_shown_where_it_is(mount, "fuse.d0", guest.plugged()["vm0"])
    for part in range(16, 128, 4):
        guest.qtest.fill(part * MIB, 4 * MIB, 0x44)
    guest.qtest.expect(64 * MIB, 4096, 0x44)
    guest.end()


def test(l):
    mount = Mount(l, [Node(l, "1G")])
    fast(l, mount)
    mapped(l, mount)


lab.main(test)
