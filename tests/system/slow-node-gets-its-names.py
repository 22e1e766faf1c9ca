#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One of three nodes was away, and lacks names. When it is back, but answers late each time, calls about names wait for its
answer again, and it is given what it lacks."""

import os

import lab
from lab import wait_for
from remote import Mount, Node, Relay

NAMES = 8


def test(l):
    near, third, far = (Node(l, "64M", name=name) for name in ("near", "third", "far"))
    relay = Relay(l, far, late=0.15)
    mount = Mount(l, [near, third, relay.address])
    os.mkdir(mount.file("first"))
    wait_for("the node has a name", lambda: far.stats()["names"])
    relay.cut()
    for n in range(NAMES):
        os.mkdir(mount.file("folder-%d" % n))
    relay.start()
    relay.lengthen()
    wait_for("the node has all names", lambda: os.listdir(mount.path) and far.stats()["names"] > NAMES)


lab.main(test)
