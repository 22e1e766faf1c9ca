#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever changes a file or a folder moves its times, so that tools which go by them (rsync, tar
--newer, find -newer) see it; what changes nothing does not. The times outlive a killed worker, a
remount, and are the same on another host."""

import mmap
import os
import shutil
import time

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
PAGE = 4096


def times(path):
    found = os.stat(path)
    return found.st_mtime_ns, found.st_ctime_ns


class Watch:
    """Whether a step moves mtime, ctime, of the paths given."""

    def __init__(self, *paths):
        self.paths = paths

    def step(self, what, function, *arguments, mtime=True, ctime=True, soon=False):
        before = [times(path) for path in self.paths]
        time.sleep(0.02)
        function(*arguments)

        def moved():
            return [(new[0] > old[0], new[1] > old[1]) for new, old in
                    zip(map(times, self.paths), before)]
        expected = [(mtime, ctime)] * len(self.paths)
        if soon:
            wait_for("%s: the times move" % what, lambda: moved() == expected, 5)
        for path, found in zip(self.paths, moved()):
            expect(found == (mtime, ctime), "%s: (mtime, ctime) of %s moved: %s", what, path, found)


def files(l, mount):
    path = mount.region("file", 4 * MIB)
    fd = os.open(path, os.O_RDWR)
    watch = Watch(path)
    watch.step("write", os.pwrite, fd, b"x", 0)
    watch.step("write again", os.pwrite, fd, b"x", 0)
    watch.step("write of zeros", os.pwrite, fd, bytes(PAGE), MIB)
    watch.step("growing write", os.pwrite, fd, b"x", 4 * MIB)
    watch.step("ftruncate", os.ftruncate, fd, 6 * MIB)
    watch.step("fallocate", os.posix_fallocate, fd, 0, 7 * MIB)
    watch.step("punch", l.run, "fallocate", "--punch-hole", "--offset", "0", "--length", "8192", path)
    watch.step("zero range", l.run, "fallocate", "--zero-range", "--offset", "0", "--length", "8192",
               path)
    watch.step("chmod", os.chmod, path, 0o600, mtime=False)
    watch.step("chown", os.chown, path, 1, 1, mtime=False)
    watch.step("rename", lambda: (os.rename(path, path + "2"), os.rename(path + "2", path)),
               mtime=False)
    watch.step("read", os.pread, fd, MIB, 0, mtime=False, ctime=False)
    watch.step("fsync", os.fsync, fd, mtime=False, ctime=False)
    watch.step("stat and open", lambda: os.close(os.open(path, os.O_RDWR)), mtime=False, ctime=False)
    memory = mmap.mmap(fd, 4 * MIB)

    def store(then):
        memory[MIB:MIB + 4] = os.urandom(4)
        then()
    watch.step("store and msync", store, memory.flush)
    memory[2 * MIB:2 * MIB + 4] = b"abcd"
    watch.step("munmap after a store", memory.close)
    os.close(fd)
    fd = os.open(path, os.O_RDWR)
    memory = mmap.mmap(fd, 4 * MIB)
    os.close(fd)
    memory[0:4] = b"abcd"
    watch.step("munmap after a store, closed before", memory.close)
    os.utime(path, ns=(10**18, 10**18 + 123))
    expect(times(path)[0] == 10**18 + 123, "utime: %d", times(path)[0])
    watch.step("O_TRUNC", lambda: os.close(os.open(path, os.O_RDWR | os.O_TRUNC)))
    watch.step("truncate", os.truncate, path, MIB)
    watch.step("truncate to the same", os.truncate, path, MIB)
    os.utime(path, (-5, -5))
    expect(os.stat(path).st_mtime == -5, "before 1970: %s", os.stat(path).st_mtime)
    os.unlink(path)


def folders(l, mount):
    top = mount.path
    for name in ("a", "b"):
        os.mkdir(os.path.join(top, name))
    a, b = top + "/a", top + "/b"
    one, other, both = Watch(a), Watch(b), Watch(a, b)
    one.step("create", lambda: open(a + "/f", "x").close())
    other.step("a change elsewhere", lambda: open(a + "/g", "x").close(), mtime=False, ctime=False)
    one.step("mkdir", os.mkdir, a + "/d")
    one.step("rename inside", os.rename, a + "/f", a + "/h")
    both.step("rename across", os.rename, a + "/h", b + "/h")
    both.step("rename over", os.rename, a + "/g", b + "/h")
    one.step("rmdir", os.rmdir, a + "/d")
    other.step("unlink", os.unlink, b + "/h")
    Watch(top).step("rmdir in the root", os.rmdir, b)
    one.step("writing to a file in it", lambda: open(a + "/w", "x").close())
    with open(a + "/w", "r+b") as f:
        f.truncate(MIB)
        f.flush()
        one.step("its file is written", os.pwrite, f.fileno(), b"x", 0, mtime=False, ctime=False)
    os.unlink(a + "/w")
    os.rmdir(a)


def fast(l, mount):
    path = mount.region("fast", 16 * MIB)
    mount.budget("fast", 4 * MIB)
    client = Mapper(l, path)
    watch = Watch(path)
    watch.step("eviction", client.do, "fill", 0, 12 * MIB, 1, soon=True)
    wait_for("the balance is struck", lambda: mount.stats("fast")["resident_bytes"] <= 5 * MIB)
    time.sleep(0.3)
    client.do("fill", 0, MIB, 2)

    def end():
        client.end()
        mount.drained("fast")
    watch.step("the client's end", end, soon=True)
    os.unlink(path)


def tools(l, mount):
    """What a backup takes a second time."""
    path = mount.region("ram", 2 * MIB)
    l.run("rsync", "-a", path, l.path("backup"))
    open(l.path("stamp"), "x").close()
    time.sleep(1.1)  # rsync looks at whole seconds
    time.sleep(0.02)
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 2 * MIB) as memory:
        memory[MIB:MIB + 5] = b"hello"
    os.close(fd)
    expect(path in l.run("find", mount.path, "-newer", l.path("stamp")), "find does not see it")
    l.run("rsync", "-a", path, l.path("backup"))
    l.run("cmp", path, l.path("backup"))
    os.unlink(path)


def lasting(l, mount, node):
    path = mount.region("last", MIB)
    os.mkdir(mount.file("folder"))
    fd = os.open(path, os.O_RDWR)
    time.sleep(0.3)
    os.pwrite(fd, b"x", 0)
    open(mount.file("folder/in"), "x").close()
    found = times(path), times(mount.file("folder"))
    mount.kill_worker()
    time.sleep(1.1)  # so long the kernel may believe what it has
    expect((times(path), times(mount.file("folder"))) == found, "a killed worker's times are gone")
    os.close(fd)
    mount.unmount()
    mount = Mount(l, [node])
    path = mount.file("last")
    expect((times(path), times(mount.file("folder"))) == found, "an ended mount's times are gone")
    # A rename on another host is not undone by what is saved of a write.
    other = Mount(l, [node], name="other")
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"y", 0)
    os.rename(other.file("last"), other.file("renamed"))
    os.pwrite(fd, b"z", 0)
    os.close(fd)
    found = None
    for _ in range(3):
        time.sleep(1.1)
        for place in (mount, other):
            names = os.listdir(place.path)
            expect("renamed" in names and "last" not in names, "the rename is undone: %s", names)
    wait_for("both hosts agree", lambda: times(mount.file("renamed")) == times(other.file("renamed")))


def test(l):
    node = Node(l, "96M")
    mount = Mount(l, [node])
    for part in (files, folders, fast):
        l.log("%s", part.__name__)
        part(l, mount)
    if shutil.which("rsync"):
        tools(l, mount)
    l.log("lasting")
    lasting(l, mount, node)


lab.main(test)
