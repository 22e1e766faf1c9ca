#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A record that names a node which cannot be: its file gives errors, and the mount goes on."""

import os

import lab
from lab import expect, program
from remote import Mount, Node

MIB = 1 << 20


def test(l):
    node = Node(l, "96M")
    mount = Mount(l, [node])
    region = mount.region("good", MIB)
    held = os.open(region, os.O_RDWR)
    os.pwrite(held, b"good", 0)
    worker = mount.worker()
    l.run(program("record_put"), node.address, "bad", "not an address")
    lab.wait_for("the false record shows", lambda: "bad" in os.listdir(mount.path))
    for flags in (os.O_RDONLY, os.O_RDWR):
        try:
            os.read(os.open(mount.file("bad"), flags), 1)
            expect(False, "there is something to read")
        except OSError:
            pass
    expect(os.pread(held, 4, 0) == b"good", "the other file is harmed")
    os.close(held)
    expect(mount.worker() == worker, "the worker died:\n%s", mount.log())


lab.main(test)
