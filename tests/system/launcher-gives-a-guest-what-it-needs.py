#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A budget with two limits shrinks while the guest misses nothing, and grows as soon as it misses much: gvm run's, on
mapped files and on the fast path, and that of every region on the fast path with gvm region local --auto. While a node is
away the kernel may wait for it to take pages back: gvm run does not, and passes signals on."""

import os
import signal

import lab
from lab import expect, wait_for
from launcher import Launcher, nothing_left
from remote import Mount, Node

MIB = 1 << 20
SECONDS = 90
LIMITS = "16M..64M"  # of which 48M are RAM

STAND_IN = """
signal.signal(signal.SIGTERM, lambda *_: print('told to end', flush=True))
for at in range(0, len(memory), 4096):
    memory[at:at + 8] = at.to_bytes(8, 'little')
print('idle', flush=True)
while not os.path.exists('%s'):
    time.sleep(0.1)
while not os.path.exists('%s'):
    for at in range(0, len(memory), 4096):
        if memory[at:at + 8] != at.to_bytes(8, 'little'):
            sys.exit('page %%d is wrong' %% (at // 4096))
"""


class Guest:
    def __init__(self, l, mount, mode, local, name):
        self.name, self.path = name, mount.file(name)
        self.wakes, self.ends = l.path("wakes-" + name), l.path("ends-" + name)
        self.launcher = Launcher(l, mount, ram="48M", local=local, mode=mode)
        self.run = self.launcher.start(STAND_IN % (self.wakes, self.ends), "--region", name)
        self.run.says("^idle")
        fast = b"\nfast 1\n" in os.getxattr(self.path, "user.gvm.stats")
        expect(fast == (mode == "uffd"), "%s: fast path: %s", name, fast)
        expect(self.budget() == 48 * MIB, "%s begins with %d bytes", name, self.budget())

    def budget(self):
        return int(os.getxattr(self.path, "user.gvm.local"))


def touch(path):
    with open(path, "x"):
        pass


def waits_for_a_node(l, mount, node):
    guest = Guest(l, mount, "fuse", LIMITS, "waits")
    wait_for("the budget shrinks", lambda: guest.budget() < 47 * MIB, SECONDS)
    node.stop()
    wait_for("the node is away", lambda: mount.stats("waits")["nodes_away"], SECONDS)
    before = guest.budget()
    guest.run.signal(signal.SIGTERM)
    guest.run.says("^told to end")
    # gvm run may have looked at the nodes just before.
    expect(guest.budget() >= before * 15 // 16, "its budget fell from %d to %d bytes while its node was away", before, guest.budget())
    node.go_on()
    touch(guest.wakes)
    touch(guest.ends)
    expect(guest.run.wait(SECONDS) == 0, "status %s: %s", guest.run.popen.returncode, guest.run.log())


def test(l):
    node = Node(l, "256M")
    mount = Mount(l, [node])
    guests = [Guest(l, mount, "fuse", LIMITS, "mapped"), Guest(l, mount, "uffd", LIMITS, "fast"),
              Guest(l, mount, "uffd", "48M", "fixed")]
    for guest in guests[:2]:
        guest.run.says("16 MiB to 48 MiB, as it needs them,")
    auto = l.start("auto", lab.program("gvm"), "region", "local", "--auto=" + LIMITS, guests[2].path)
    for guest in guests:
        wait_for("%s: the budget shrinks" % guest.name, lambda: guest.budget() < 44 * MIB, SECONDS)
        expect(guest.budget() >= 16 * MIB, "%s has %d bytes left", guest.name, guest.budget())
    for guest in guests:
        touch(guest.wakes)
        wait_for("%s: it is busy, and gets it back" % guest.name, lambda: guest.budget() == 48 * MIB, SECONDS)
        touch(guest.ends)
    for guest in guests:
        expect(guest.run.wait(SECONDS) == 0, "status %s: %s", guest.run.popen.returncode, guest.run.log())
    auto.signal(signal.SIGTERM)
    expect(auto.wait(SECONDS) == -signal.SIGTERM, "status %s: %s", auto.popen.returncode, auto.log())
    waits_for_a_node(l, mount, node)
    nothing_left(guests[0].launcher, guests[0].run, [guest.name for guest in guests] + ["waits"])


lab.main(test)
