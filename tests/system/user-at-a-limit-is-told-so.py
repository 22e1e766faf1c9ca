#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user who has as many conversations about the fast path as a user may have, none of which ends, is told so by the next
program that asks; others are let in as ever."""

import os
import sys

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import USER, Stranger

MIB = 1 << 20
PROCESSES, EACH = 2, 8  # PROCESS_VISITORS_MAX; together USER_VISITORS_MAX
REFUSE, REASON = 3, "this user has all the conversations"


def asks(l, mount, region, name):
    os.chown(region, USER, USER)
    socket = os.getxattr(mount.path + "/ram", "user.gvm.attach").decode()
    return l.start("asks", "setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", sys.executable,
                   l.path("stranger.py"), socket, mount.file(name), "0", "regions", "1")


def test(l):
    open_device(l)
    mount = Mount(l, [Node(l, "256M")], "--allow-other")
    ram = mount.region("ram", 16 * MIB)
    strangers = [Stranger(l, ram, "hello", EACH) for _ in range(PROCESSES)]
    said = asks(l, mount, mount.region("own-0", MIB), "own").says(r"^answered (\d+) (.*)$", 30)
    expect(int(said.group(1)) == REFUSE and REASON in said.group(2), "it is told %s", said.group(0))
    late = Mapper(l, ram)
    late.process.says("uffd")
    late.do("fill", 0, MIB, 1)
    late.end()
    for stranger in strangers:
        expect(stranger.process.running(), "a stranger has ended: %s", stranger.process.log())
        stranger.end()
    asks(l, mount, mount.region("more-0", MIB), "more").says("^answered 2", 30)


lab.main(test)
