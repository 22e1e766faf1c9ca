#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Users without any right who are many, as one user is who has subordinate ones, show files of filesystems of theirs that
do not answer, each as often as a process may: that takes every conversation that can be had at a time. Another user's
program gets the fast path all the same, within seconds, and so does the next."""

import pwd

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import Stranger

MIB = 1 << 20
USERS, EACH = 17, 8  # as many as a process may, and more conversations than there can be


def test(l):
    open_device(l)
    mount = Mount(l, [Node(l, "256M")])
    region = mount.region("ram", 16 * MIB)
    users = [user.pw_uid for user in pwd.getpwall() if user.pw_uid]  # fusermount3 wants such as have a name
    expect(len(users) >= USERS, "only %d users have a name here", len(users))
    strangers = [Stranger(l, region, "hello", EACH, uid) for uid in users[:USERS]]
    for n in range(3):
        late = Mapper(l, mount.region("late-%d" % n, MIB))
        late.process.says("uffd")
        late.do("fill", 0, MIB, n)
        late.end()
    for stranger in strangers:
        expect(stranger.process.running(), "a stranger has ended: %s", stranger.process.log())
        stranger.end()


lab.main(test)
