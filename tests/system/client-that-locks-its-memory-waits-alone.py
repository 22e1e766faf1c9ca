#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that holds its own memory lock for ever keeps nobody else waiting, whatever gvmfs was just doing
to its memory: guests are served, others come, a worker that is killed is replaced. When the lock is free
the client goes on, and nothing of its region is lost."""

import os
import subprocess
import time

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import Stranger

MIB = 1 << 20
SIZE = 32 * MIB
PAGE = 4096


def locker(l, mount, stranger, name):
    region = mount.region(name, SIZE)
    os.chown(region, stranger.user, stranger.user)
    return region, l.start(
        "locker", "sh", "-c", "exec 3<>%s; LD_PRELOAD=%s exec setpriv --reuid=%d --regid=%d --clear-groups "
        "%s %s %d %d" % (region, program("libgvm-preload.so"), stranger.user, stranger.user,
                         stranger.own("locker"), stranger.folder + "/f", stranger.server.pid, SIZE))


def goes_on(l, mount, honest, name):
    honest.do("touch", 8 * MIB, 4 * MIB)
    honest.do("check", 0, 4 * MIB, 1)
    late = Mapper(l, mount.region(name, MIB))
    late.process.says("uffd")
    late.do("fill", 0, MIB, 2)
    return late


def test(l):
    release = os.uname().release.split(".")
    if (int(release[0]), int(release[1])) < (6, 9):
        lab.skip("fuse-resend", "without it no worker is replaced")
    open_device(l)
    node = Node(l, "256M")
    mount = Mount(l, [node], "--allow-other")
    os.chmod(os.path.dirname(mount.path), 0o755)
    honest = Mapper(l, mount.region("ram", SIZE))
    honest.do("fill", 0, 4 * MIB, 1)
    stranger = Stranger(l, mount.file("ram"), None)
    theirs, process = locker(l, mount, stranger, "theirs")
    process.says("^locked")

    mount.says("does not let a page into its memory")
    late = goes_on(l, mount, honest, "late")
    mount.kill_worker()
    late.do("check", 0, MIB, 2)
    late.end()
    goes_on(l, mount, honest, "later").end()
    # What only its client's memory has is not read from the nodes.
    read = subprocess.run(["dd", "if=" + theirs, "of=/dev/null", "bs=4096", "count=1", "skip=40"],
                          capture_output=True, text=True, timeout=20)
    expect(read.returncode and "busy" in read.stderr, "dd says %s", read.stderr)

    stranger.end()
    process.says("^done", 60)
    process.signal(9)
    mount.drained("theirs")
    with open(theirs, "rb") as f:
        for at in range(MIB // 8, SIZE, PAGE):
            f.seek(at)
            got = f.read(1)[0]
            expect(got == at // PAGE % 251 + 1, "page %d holds %d", at // PAGE, got)
    honest.do("check", 0, 4 * MIB, 1)
    honest.end()
    wait_for("nothing waits any more", lambda: "goes on" in mount.log())
    time.sleep(0.1)


lab.main(test)
