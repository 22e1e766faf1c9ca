#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file whose write-back hangs, since its node does not answer, and that is asked again and again where it has data,
takes a few threads of the page cache's helper, and no more; another file's dirty pages are found as ever."""

import os
import sys
import time

import lab
from lab import children, expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
SIZE = 24 * MIB  # more chunks than there are wbufs
LOOKS = 4
FILE_CALLS = 2  # PAGECACHE_FILE_CALLS
HANGS = 25

# A page in each chunk, that only the kernel knows of. The first look has all of them written; those that follow are
# for one of which the WRITE waits, if the node does not answer.
PROGRAM = """import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
for at in range(0, len(m), 131072):
    m[at] = 1
print("dirty", flush=True)
for at in [0] + [len(m) - 131072] * int(sys.argv[2]):
    print("found", os.lseek(fd, at, os.SEEK_DATA) == at, flush=True)
print("over", flush=True)
sys.stdin.readline()
"""


def helper_of(mount):
    worker = mount.worker()
    return next((pid for pid, name in children(worker).items() if name == "gvmfs-pages"), None)


def threads(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def test(l):
    near, far = Node(l, name="near"), Node(l, name="far")
    for node, name in (near, "own"), (far, "theirs"):
        alone = Mount(l, [node])
        alone.region(name, SIZE)
        alone.unmount()
    mount = Mount(l, [near, far])
    os.listdir(mount.path)
    helper = wait_for("the helper is there", lambda: helper_of(mount))
    held = os.open(mount.file("theirs"), os.O_RDWR)  # attached before the node stops
    far.stop()
    looks = l.start("looks", sys.executable, "-c", PROGRAM, mount.file("theirs"), str(LOOKS))
    looks.says("over", HANGS + LOOKS * 5)
    expect("found False" not in looks.log(), "a page was taken for a hole")
    now = threads(helper)
    l.log("%d threads after %d looks at a file that hangs", now, LOOKS)
    expect(now <= 1 + FILE_CALLS, "the helper has %d threads", now)
    began = time.monotonic()
    own = l.start("own", sys.executable, "-c", PROGRAM, mount.file("own"), "1")
    own.says("over", HANGS)
    expect("found True" in own.log(), "the other file's page was taken for a hole")
    l.log("another file: %.1f s", time.monotonic() - began)
    far.go_on()
    wait_for("the threads end", lambda: threads(helper) == 1, 30)
    for process in looks, own:
        process.signal(9)
    os.close(held)


lab.main(test)
