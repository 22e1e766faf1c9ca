#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Users without any right who are many, as one user is who has subordinate ones, show files of filesystems of theirs that
do not answer, each as often as a process may: that takes every conversation that can be had at a time. Another user's
program gets the fast path all the same, within seconds, and so does the next. The same where they may write regions
of the mount, and go no further than gvmfs's answer."""

import os
import pwd
import sys

import lab
from lab import expect
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import Stranger

MIB = 1 << 20
USERS, EACH = 17, 8  # as many as a process may, and more conversations than there can be
OWNERS, REGIONS = 9, 8  # more than 64 conversations


def late(l, mount, name):
    late = Mapper(l, mount.region(name, MIB))
    late.process.says("uffd")
    late.do("fill", 0, MIB, 1)
    late.end()


def owners_of_regions(l, mount, users):
    socket = os.getxattr(mount.path + "/ram", "user.gvm.attach").decode()
    owners = []
    for n, user in enumerate(users[:OWNERS]):
        for k in range(n * REGIONS, (n + 1) * REGIONS):
            os.chown(mount.region("own-%d" % k, MIB), user, user)
        owners.append(l.start("owner", "setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups",
                              sys.executable, l.path("stranger.py"), socket, mount.file("own"), str(n * REGIONS), "regions",
                              str(REGIONS)))
    for owner in owners:
        owner.says("^sent", 60)
        expect(owner.log().count("answered 2") == REGIONS, "an owner of regions is told: %s", owner.log())
    late(l, mount, "beside-owners")
    for owner in owners:
        owner.signal(9)


def test(l):
    open_device(l)
    mount = Mount(l, [Node(l, "256M")], "--allow-other")
    region = mount.region("ram", 16 * MIB)
    users = [user.pw_uid for user in pwd.getpwall() if user.pw_uid]  # fusermount3 wants such as have a name
    expect(len(users) >= USERS, "only %d users have a name here", len(users))
    strangers = [Stranger(l, region, "hello", EACH, uid) for uid in users[:USERS]]
    for n in range(3):
        late(l, mount, "late-%d" % n)
    for stranger in strangers:
        expect(stranger.process.running(), "a stranger has ended: %s", stranger.process.log())
        stranger.end()
    owners_of_regions(l, mount, users)


lab.main(test)
