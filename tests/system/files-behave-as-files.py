#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs do with files and folders works on a mount of gvmfs: names, modes, owners, sizes,
blocks, holes, unlinking while open, several openers, read-only opens, space."""

import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import stat

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
PAGE = 4096
CHUNK = 128 << 10


def same(what, found, expected):
    expect(found == expected, "%s: %r, not %r", what, found, expected)


def fails(what, number, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except OSError as why:
        same(what, errno.errorcode.get(why.errno), errno.errorcode[number])
        return
    raise lab.Failure("%s: it succeeded" % what)


def names(l, mount):
    top = mount.path
    os.makedirs(top + "/a/b")
    open(top + "/a/b/file", "x").close()
    fails("creating what exists", errno.EEXIST, open, top + "/a/b/file", "x")
    fails("removing a folder that is not empty", errno.ENOTEMPTY, os.rmdir, top + "/a/b")
    os.rename(top + "/a/b/file", top + "/moved")
    same("folder after a move", os.listdir(top + "/a/b"), [])
    with open(top + "/other", "xb") as f:
        f.truncate(PAGE)
    os.rename(top + "/moved", top + "/other")
    same("a rename over a file", (sorted(os.listdir(top)), os.stat(top + "/other").st_size),
         (["a", "other"], 0))
    os.rename(top + "/a", top + "/z")
    os.rmdir(top + "/z/b")
    os.rmdir(top + "/z")
    os.unlink(top + "/other")
    fails("opening what was unlinked", errno.ENOENT, os.open, top + "/other", os.O_RDONLY)
    long_name = "n" * 255
    open(os.path.join(top, long_name), "x").close()
    same("a long name", os.listdir(top), [long_name])
    os.unlink(os.path.join(top, long_name))
    fails("a name too long", errno.ENAMETOOLONG, open, os.path.join(top, "n" * 256), "x")
    for number in range(300):
        open("%s/many-%03d" % (top, number), "x").close()
    same("a folder of many", sorted(os.listdir(top)), ["many-%03d" % n for n in range(300)])
    for number in range(300):
        os.unlink("%s/many-%03d" % (top, number))


def modes(l, mount):
    path = mount.file("mode")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o640))
    os.chown(path, 1000, 1001)
    os.chmod(path, 0o604)
    found = os.stat(path)
    same("mode and owner", (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid),
         (0o604, 1000, 1001))
    os.utime(path, ns=(5 * 10**9, 7 * 10**9))
    same("time", os.stat(path).st_mtime_ns, 7 * 10**9)
    os.unlink(path)


def contents(l, mount):
    path = mount.region("data", 4 * MIB)
    same("blocks of a region never written", os.stat(path).st_blocks, 0)
    fd = os.open(path, os.O_RDWR)
    other = os.open(path, os.O_RDONLY)
    data = os.urandom(300 * 1024)
    os.pwrite(fd, data, MIB + 777)
    same("another opener reads it", os.pread(other, len(data), MIB + 777), data)
    same("what is around it", os.pread(other, 777, MIB), bytes(777))
    fails("writing through a read-only open", errno.EBADF, os.pwrite, other, b"x", 0)
    os.fsync(fd)
    with mmap.mmap(fd, 4 * MIB) as memory:
        same("the mapping shows write()", memory[MIB + 777:MIB + 777 + len(data)], data)
        memory[3 * MIB:3 * MIB + 5] = b"hello"
        same("read() shows the mapping", os.pread(other, 5, 3 * MIB), b"hello")
        memory.flush()
        with mmap.mmap(other, 4 * MIB, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as own:
            own[0:3] = b"own"
            same("a private mapping's store stays private", os.pread(other, 3, 0), bytes(3))
    fails("beyond the end", errno.ENXIO, os.lseek, fd, 4 * MIB, os.SEEK_DATA)
    os.fsync(fd)
    blocks = os.stat(path).st_blocks * 512
    expect(len(data) <= blocks <= 2 * len(data), "%d bytes of blocks for %d random bytes", blocks,
           len(data))
    # Holes are known by chunks.
    same("first data", os.lseek(fd, 0, os.SEEK_DATA) // CHUNK, (MIB + 777) // CHUNK)
    hole = os.lseek(fd, MIB + 777, os.SEEK_HOLE)
    expect(MIB + 777 + len(data) <= hole <= MIB + 777 + len(data) + CHUNK, "hole at %d", hole)
    same("data after the hole", os.lseek(fd, hole, os.SEEK_DATA) // CHUNK, 3 * MIB // CHUNK)
    os.ftruncate(fd, 6 * MIB)
    same("grown", (os.fstat(fd).st_size, os.pread(fd, 5, 3 * MIB), os.pread(fd, PAGE, 5 * MIB)),
         (6 * MIB, b"hello", bytes(PAGE)))
    os.close(other)
    os.close(fd)
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, 2 * MIB)
    os.ftruncate(fd, 4 * MIB)
    same("what was cut off is zero", os.pread(fd, 5, 3 * MIB), bytes(5))
    same("what was not is there", os.pread(fd, len(data), MIB + 777), data)
    os.close(fd)
    os.unlink(path)


def appended(l, mount):
    """A file that grows by writing, without ftruncate, as cp does it."""
    source = l.path("source")
    with open(source, "wb") as f:
        f.write(os.urandom(MIB + 12345))
    l.run("cp", source, mount.file("copy"))
    l.run("cmp", source, mount.file("copy"))
    same("the copy's size", os.stat(mount.file("copy")).st_size, MIB + 12345)
    l.run("cp", "--sparse=always", mount.file("copy"), l.path("back"))
    l.run("cmp", source, l.path("back"))
    os.unlink(mount.file("copy"))


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def refused(l, mount):
    """What a region cannot be or have is refused as other filesystems refuse it, never as an unknown call."""
    path, other = mount.region("one", MIB), mount.file("other")
    fd = os.open(path, os.O_RDWR)
    for what, function, *arguments in (
            ("a symbolic link", os.symlink, "x"), ("a link", os.link, path),
            ("a pipe", os.mkfifo), ("a socket", os.mknod, 0o600 | stat.S_IFSOCK),
            ("a device", os.mknod, 0o600 | stat.S_IFCHR, os.makedev(1, 3))):
        first = arguments[:1] if function in (os.symlink, os.link) else []
        fails(what, errno.EPERM, function, *first, other, *arguments[len(first):])
    fails("a nameless file", errno.EOPNOTSUPP, os.open, mount.path, os.O_RDWR | os.O_TMPFILE)
    for name in ("user.a", "security.a", "trusted.a"):
        fails("setting " + name, errno.EOPNOTSUPP, os.setxattr, path, name, b"1")
        fails("reading " + name, errno.ENODATA, os.getxattr, path, name)
        fails("removing " + name, errno.ENODATA, os.removexattr, path, name)
    same("attributes", os.listxattr(path), [])
    for mode in (0x02, 0x08, 0x20, 0x40, 0x400):  # a hole that cuts, collapse, insert, unshare, unknown
        fails("fallocate mode %#x" % mode, errno.EOPNOTSUPP, call, "fallocate", fd, mode,
              ctypes.c_long(0), ctypes.c_long(PAGE))
    fails("FS_IOC_FIEMAP", errno.EOPNOTSUPP, fcntl.ioctl, fd, 0xc020660b, bytes(32))
    fails("an ioctl", errno.ENOTTY, fcntl.ioctl, fd, 0x5401, bytes(60))
    fcntl.flock(fd, fcntl.LOCK_EX)
    second = os.open(path, os.O_RDWR)
    fails("a second lock", errno.EAGAIN, fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    for opened in (fd, second):
        os.close(opened)
    open(other, "x").close()
    rename = [-100, path.encode(), -100, other.encode()]
    fails("a rename that replaces nothing", errno.EEXIST, call, "renameat2", *rename, 1)
    fails("an exchange", errno.EINVAL, call, "renameat2", *rename, 2)
    l.run("mv", "-n", path, other)
    same("mv -n", os.stat(other).st_size, 0)
    os.unlink(other)
    call("renameat2", *rename, 1)
    l.run("cp", "-a", "--preserve=all", other, path)
    l.run("install", "-m", "600", other, mount.file("installed"))
    l.run("touch", "-d", "2001-02-03", other)
    if shutil.which("rsync"):
        l.run("rsync", "-aX", other, mount.file("synced"))
        os.unlink(mount.file("synced"))
    # What was there before does not stay behind what is written now.
    with open(path, "w") as f:
        f.write("short")
    same("a file that was opened to be written anew", open(path, "rb").read(), b"short")
    held = os.open(path, os.O_RDONLY)
    fails("writing one anew that is open", errno.EBUSY, os.open, path, os.O_RDWR | os.O_TRUNC)
    os.close(held)
    for name in (path, other, mount.file("installed")):
        os.unlink(name)


def unlinked(l, mount, nodes):
    before = sum(node.stats()["reserved_bytes"] for node in nodes)
    path = mount.region("gone", 8 * MIB)
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    data = os.urandom(MIB)
    os.pwrite(fd, data, 2 * MIB)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    same("an unlinked file while open", os.pread(fd, MIB, 2 * MIB), data)
    same("its links", os.fstat(fd).st_nlink, 0)
    os.close(fd)

    def released():
        return sum(node.stats()["reserved_bytes"] for node in nodes) <= before
    lab.wait_for("the nodes have an unlinked file's space again", released)


def punched(l, mount, nodes):
    def held():
        return sum(node.stats()["stored_bytes"] for node in nodes)
    path = mount.region("punched", 16 * MIB)
    before = held()
    l.write(path, 0, 16 * MIB, 9)
    full = held()
    expect(full > before + 5 * MIB, "the nodes hold %d bytes more", full - before)
    l.run("fallocate", "--punch-hole", "--offset", str(4 * MIB), "--length", str(8 * MIB), path)
    l.check(path, 0, 4 * MIB, 9)
    l.check(path, 4 * MIB, 8 * MIB, 0)
    l.check(path, 12 * MIB, 4 * MIB, 9)
    lab.wait_for("the nodes have the hole's memory again",
                 lambda: held() < before + (full - before) * 6 // 10)
    # A hole smaller than a chunk, at odd pages.
    l.run("fallocate", "--punch-hole", "--offset", str(3 * PAGE), "--length", str(2 * PAGE), path)
    l.check(path, 0, 3 * PAGE, 9)
    l.check(path, 3 * PAGE, 2 * PAGE, 0)
    l.check(path, 5 * PAGE, 59 * PAGE, 9)
    # The file is not said to be larger than it is.
    l.run("fallocate", "--zero-range", "--offset", str(16 * MIB), "--length", str(MIB), path,
          status=1)
    same("the size after zeros past the end", os.stat(path).st_size, 16 * MIB)
    os.unlink(path)


def space(l, mount, nodes):
    def free():
        found = os.statvfs(mount.path)
        expect(found.f_blocks * found.f_frsize > 128 * MIB, "statfs: %s", found)
        return found.f_bavail * found.f_frsize
    path = mount.region("space", 32 * MIB)
    promised = free()
    os.unlink(path)
    lab.wait_for("statfs tells of 32 MiB that are free again",
                 lambda: free() >= promised + 31 * MIB)


def test(l):
    nodes = [Node(l, "96M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    for part in (names, modes, contents, appended, refused):
        l.log("%s", part.__name__)
        part(l, mount)
    for part in (unlinked, punched, space):
        l.log("%s", part.__name__)
        part(l, mount, nodes)
    same("what is left", os.listdir(mount.path), [])
    expect("user.gvm.stats" in os.listxattr(mount.path) or mount.stats(), "no statistics")


lab.main(test)
