#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""With --timeout an access to a node that does not answer ends with an error; nothing reads as
zeros, another region goes on, and what the node holds is there again when it is back."""

import signal

import lab
from lab import expect, wait_for
from remote import Node, two_regions

MIB = 1 << 20


def test(l):
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount, own, shared = two_regions(l, near, far, 16 * MIB, "--timeout", "2")
    mapped = l.access("map-later", shared, 0, 16 * MIB, 2)
    mapped.says("^mapped")
    l.network.cut(far.port)
    failing = l.access("check", shared, 0, 16 * MIB, 2)
    expect(failing.wait(30) == 1 and "error E" in failing.log(), "the access said: %s",
           failing.log())
    mapped.signal(signal.SIGUSR1)
    expect(mapped.wait(30) == -signal.SIGBUS, "a load from the mapped file did not end in SIGBUS: %s %s",
           mapped.popen.returncode, mapped.log())
    l.check(own, 0, 16 * MIB, 1)
    l.network.heal()

    def back():
        return l.access("check", shared, 0, 16 * MIB, 2).wait(30) == 0
    wait_for("the region is whole again", back, 30, 0.5)


lab.main(test)
