#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory of a guest whose file has no name any more outlives a cut of the network, however often another
host looks. When its writer has been away for longer than the lease that it chose, the node removes it."""

import os
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node, Relay

MIB = 1 << 20
DATA = os.urandom(MIB)
AWAY = float(os.environ.get("GVM_TEST_AWAY", "4"))


def unlinked(l, relay, name, *options):
    mount = Mount(l, [relay.address], *options, name=name)
    region = mount.region(name, 8 * MIB)
    held = os.open(region, os.O_RDWR)
    os.unlink(region)
    os.pwrite(held, DATA, MIB)
    os.fsync(held)
    return held


def test(l):
    node = Node(l, "96M")
    relay = Relay(l, node)
    options = [] if "GVM_TEST_AWAY" in os.environ else ["--lease", "1", "--unlinked-lease"]
    held = unlinked(l, relay, "one", *options, *(["600"] if options else []))
    relay.cut()
    two = Mount(l, [node], name="two")
    until = time.monotonic() + AWAY
    while time.monotonic() < until:
        expect(os.listdir(two.path) == [], "the other host shows %s", os.listdir(two.path))
        time.sleep(0.5)
    expect(node.stats()["regions"] == 1, "a living guest's memory was removed")
    relay.start()
    os.posix_fadvise(held, 0, 0, os.POSIX_FADV_DONTNEED)
    expect(os.pread(held, MIB, MIB) == DATA, "other content than was written")
    os.pwrite(held, DATA, 2 * MIB)
    os.fsync(held)
    os.close(held)
    wait_for("closed, it goes", lambda: node.stats()["regions"] == 0, 15)

    held = unlinked(l, relay, "short", "--lease", "1", "--unlinked-lease", "6")
    expect(node.stats()["regions"] == 1, "it is not there")
    relay.cut()
    wait_for("the node removes it", lambda: node.stats()["regions"] == 0, 30)
    node.process.says("is removed, as its writer asked for")
    relay.start()
    os.close(held)


lab.main(test)
