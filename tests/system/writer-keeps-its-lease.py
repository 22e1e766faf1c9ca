#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second host that asks for writing all the time does not get the region in the moments in which the first
host's worker is being replaced, or its connections are set up again. When the first host is gone it gets it
after the lease, and is told how long that is; or at once, if a person says so."""

import errno
import os
import signal
import threading

import lab
from lab import children, expect, wait_for
from remote import Mount, Node, Relay, open_error

MIB = 1 << 20


def kill_all(mount):
    for pid in [mount.process.pid, *children(mount.process.pid)]:
        os.kill(pid, signal.SIGKILL)


def test(l):
    nodes = [Node(l, "64M"), Node(l, "64M")]
    relay = Relay(l, nodes[0])
    one = Mount(l, [relay.address, nodes[1]], "--lease", "15", name="one")
    two = Mount(l, nodes, name="two")
    region = one.region("ram", 4 * MIB)
    held = os.open(region, os.O_RDWR)
    os.pwrite(held, b"first" * 1000, 0)
    os.fsync(held)
    wait_for("the other host sees the region", lambda: os.path.exists(two.file("ram")), 15)
    found, stop = set(), threading.Event()

    def ask():
        while not stop.is_set():
            found.add(open_error(two.file("ram")))
    asking = [lab.Thread(ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        for turn in range(4):
            one.kill_worker()
            os.pwrite(held, b"%5d" % turn * 1000, 0)
            os.fsync(held)
        for turn in range(3):
            relay.cut()
            lab.time.sleep(0.5)
            relay.start()
            os.pwrite(held, b"again" * 1000, 0)
            os.fsync(held)
    finally:
        stop.set()
        for thread in asking:
            thread.join()
    expect(found == {errno.EBUSY}, "the second host got %s", found)
    expect("FENCED" not in one.log(), "the first host was fenced")
    os.close(held)
    wait_for("the second host may write", lambda: open_error(two.file("ram")) == 0, 15)

    # The first host comes back on its own and is cut off for good.
    held = os.open(region, os.O_RDWR)
    os.pwrite(held, b"last!", 0)
    os.fsync(held)
    relay.cut()
    expect(open_error(two.file("ram")) == errno.EBUSY, "cut off from one node, it lost the region")
    l.run(lab.program("gvm"), "region", "take", two.file("ram"))
    expect(open_error(two.file("ram")) == 0, "taken, it is not there")
    with open(two.file("ram"), "rb") as f:
        expect(f.read(5) == b"last!", "other content than was written")
    relay.start()
    one.says("FENCED", 30)
    two.says("taken from its writer by force")
    kill_all(one)
    os.close(held)


lab.main(test)
