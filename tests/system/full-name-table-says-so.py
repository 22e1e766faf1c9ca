#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a node's table of names is full, a new name is refused at once with ENOSPC and a line in the
node's log; what is there can be changed and removed, and then there is room again."""

import errno
import os
import time

import lab
from lab import expect
from remote import Mount, Node


def test(l):
    node = Node(l, "64M", "--names", "40")
    mount = Mount(l, [node])
    made = []
    try:
        while len(made) < 41:
            begun = time.monotonic()
            os.mkdir(mount.file("d%d" % len(made)))
            made.append(mount.file("d%d" % len(made)))
        expect(False, "%d names in a table of 40", len(made))
    except OSError as e:
        expect(e.errno == errno.ENOSPC, "a full table gives %s", e)
    expect(len(made) == 40, "it took %d names", len(made))
    expect(time.monotonic() - begun < 15, "the refusal took its time")
    node.process.says(r"the name table is full \(40 names")
    os.chmod(made[3], 0o700)
    os.rename(made[4], made[4] + "-renamed")
    for path in made[10:30]:
        os.rmdir(path)
    for i in range(12):
        lab.wait_for("there is room again", lambda i=i: _mkdir(mount.file("again%d" % i)))
    expect(len(os.listdir(mount.path)) == 32, "it shows %s", os.listdir(mount.path))


def _mkdir(path):
    try:
        os.mkdir(path)
    except OSError as e:
        expect(e.errno == errno.ENOSPC, "a full table gives %s", e)
        return False
    return True


lab.main(test)
