#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount whose nodes are all on loopback does not seal unless it is told to, and says so; and it sends nothing to a node
elsewhere that the name table names, but opens a region that lies on its own nodes, whatever they are called there."""

import errno
import os
import re

import lab
from lab import expect
from remote import Mount, Node, open_error
from sealing import key_file

SIZE = 8 << 20
FAR = "10.77.0.1"


def test(l):
    l.run("ip", "addr", "add", FAR + "/32", "dev", "lo")
    near, far = (Node(l, "64M", "--open", host="0.0.0.0") for _ in range(2))
    near_elsewhere, far_address = ("%s:%d" % (FAR, node.port) for node in (near, far))

    # Another host's mount, which says that it does not seal.
    mount = Mount(l, [near, far_address], "--no-seal")
    mount.says(r"NOT sealed \(--no-seal\)")
    l.write(mount.region("beyond", SIZE), 0, SIZE, 1)
    mount.unmount()
    mount = Mount(l, [near_elsewhere], "--no-seal")
    l.write(mount.region("here", SIZE), 0, SIZE, 2)
    mount.unmount()
    held = far.stats()

    mount = Mount(l, [near], sealing="default")
    mount.says(r"NOT sealed: all nodes are on this host's loopback \(if one is a tunnel's end, give --seal\)")
    expect("beyond" in os.listdir(mount.path), "the name table is not read")
    got = open_error(mount.file("beyond"))
    expect(got == errno.EPERM, "opening what lies beyond loopback gives %s", got)
    mount.says(r"\[beyond\]: its node %s is beyond this host's loopback.*--seal-key-file or --no-seal" % re.escape(far_address))
    expect(far.stats()["puts"] == held["puts"], "something was sent to the node beyond")
    l.check(mount.file("here"), 0, SIZE, 2)
    l.write(mount.file("here"), 0, SIZE, 3)
    l.check(mount.file("here"), 0, SIZE, 3)
    mount.unmount()

    mount = Mount(l, [near], "--no-seal")
    l.check(mount.file("beyond"), 0, SIZE, 1)
    mount.unmount()
    mount = Mount(l, [near, far_address], "--seal-key-file", key_file(l))
    mount.says(r"what leaves this host is sealed, with key [0-9a-f]{16}")
    mount.unmount()


lab.main(test)
