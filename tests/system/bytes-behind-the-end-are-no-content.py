#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a mapping stores behind the end of a file, in its last page, never becomes content: however the
file grows over it afterwards, whoever is killed meanwhile, and wherever it is read, there are zeros."""

import ctypes
import mmap
import os
import threading
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node

PAGE, OLD, NEW = 4096, (1 << 20) + 100, 3 << 20
SYNC_FILE_RANGE_WRITE = 2
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


class LastPage:
    """A shared mapping of the page that the end of a file is in."""

    def __init__(self, fd):
        self.begin = os.fstat(fd).st_size // PAGE * PAGE
        self.at = libc.mmap(None, PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, self.begin)
        expect(self.at != ctypes.c_void_p(-1).value, "mmap: %s", os.strerror(ctypes.get_errno()))

    def spoil(self, begin):
        ctypes.memset(self.at + begin - self.begin, 0xee, self.begin + PAGE - begin)

    def bytes(self):
        return ctypes.string_at(self.at, PAGE)

    def msync(self):
        libc.msync(ctypes.c_void_p(self.at), PAGE, 4)

    def close(self):
        libc.munmap(ctypes.c_void_p(self.at), PAGE)


def fallocate(fd, length):
    expect(libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(length)) == 0, "fallocate: %s",
           os.strerror(ctypes.get_errno()))


# How it grows, and which bytes are written by that.
GROWTHS = {
    "ftruncate": (lambda fd, path: os.ftruncate(fd, NEW), NEW, b""),
    "ftruncate within the page": (lambda fd, path: os.ftruncate(fd, OLD + 500), OLD + 500, b""),
    "truncate": (lambda fd, path: os.truncate(path, NEW), NEW, b""),
    "fallocate": (lambda fd, path: fallocate(fd, NEW), NEW, b""),
    "write in a later page": (lambda fd, path: os.pwrite(fd, b"new", NEW - 3), NEW, b"new"),
    "write in the same page": (lambda fd, path: os.pwrite(fd, b"new", OLD + 497), OLD + 500, b"new"),
    "write at the end": (lambda fd, path: os.pwrite(fd, b"new", OLD), OLD + 3, b"new"),
    "write over the end": (lambda fd, path: os.pwrite(fd, b"new", OLD - 1), OLD + 2, b"new"),
    "write of two pages": (lambda fd, path: os.pwrite(fd, bytes(PAGE) + b"new", OLD + 7), OLD + PAGE + 10, b"new"),
    "copy_file_range": (lambda fd, path: os.copy_file_range(fd, fd, 3, 0, NEW - 3), NEW, b"old"),
}

OFTEN = "ftruncate", "write in the same page", "write at the end", "fallocate"


def check(what, fd, size, written, page=None):
    begin = OLD // PAGE * PAGE
    content = (b"old" + bytes(OLD - 6) + b"end").ljust(size, b"\0")[:size - len(written)] + written
    expect(os.fstat(fd).st_size == size, "%s: the size is %d", what, os.fstat(fd).st_size)
    found = os.pread(fd, NEW + PAGE, 0)
    for at in range(0, size, PAGE):
        expect(found[at:at + PAGE] == content[at:at + PAGE], "%s: differs in the page at %d: %r", what, at,
               bytes(found[at:at + PAGE]).strip(b"\0")[:16])
    if page:
        end = min(PAGE, size - begin)
        expect(page.bytes()[:end] == content[begin:begin + end], "%s: the mapping differs", what)


def make(mount, name):
    fd = os.open(mount.file(name), os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, OLD)
    os.pwrite(fd, b"old", 0)
    os.pwrite(fd, b"end", OLD - 3)
    return fd


def every_growth(l, mount, nodes):
    kept = {}
    for how, (grow, size, written) in GROWTHS.items():
        for kind in ("mapped", "written back", "unmapped", "again"):
            what = "%s, %s" % (how, kind)
            fd = make(mount, what)
            page = LastPage(fd)
            page.spoil(OLD)
            if kind == "written back":
                page.msync()
            if kind == "again":  # it shrinks, and is spoilt again
                os.ftruncate(fd, NEW)
                os.ftruncate(fd, OLD)
                page.spoil(OLD)
            if kind == "unmapped":
                page.close()
            grow(fd, mount.file(what))
            check(what, fd, size, written, page if kind != "unmapped" else None)
            if kind != "unmapped":
                page.bytes()
                page.close()
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            check(what + ", dropped", fd, size, written)
            os.close(fd)
            kept[what] = size, written
    return kept


def elsewhere(l, kept, nodes):
    other = Mount(l, nodes, name="other")
    for what, (size, written) in kept.items():
        fd = os.open(other.file(what), os.O_RDONLY)
        check(what + ", on another host", fd, size, written)
        os.close(fd)
        os.unlink(other.file(what))
    other.unmount()


def page_is_not_cached(mount):
    """A write into the last page, which the kernel holds locked meanwhile, does not wait for itself."""
    fd = make(mount, "cold")
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.pwrite(fd, b"new", OLD + 497)
    check("cold", fd, OLD + 500, b"new")
    os.close(fd)
    os.unlink(mount.file("cold"))


def has_no_name(mount):
    fd = make(mount, "nameless")
    os.unlink(mount.file("nameless"))
    page = LastPage(fd)
    page.spoil(OLD)
    os.ftruncate(fd, NEW)
    check("nameless", fd, NEW, b"", page)
    page.close()
    os.close(fd)


class Growing(threading.Thread):
    """A growth in a thread of its own, of which the worker has read the request."""

    def __init__(self, mount, how, name):
        super().__init__(daemon=True)
        self.grow, self.path, self.error = GROWTHS[how][0], mount.file(name), None
        self.fd = os.open(self.path, os.O_RDWR)
        self.start()
        for _ in range(2):
            wait_for("the call waits", self.waits)
            os.statvfs(mount.path)  # the worker reads requests in their order

    def run(self):
        try:
            self.grow(self.fd, self.path)
        except OSError as error:
            self.error = error
        os.close(self.fd)

    def waits(self):
        """For an answer, or for a write-back to be over; an answer about its right to write comes at once."""
        task = "/proc/self/task/%d/" % self.native_id
        with open(task + "syscall") as syscall, open(task + "stack") as stack:
            return syscall.read().strip() != "running" and "xattr" not in stack.read()


def killed_worker(mount, node, how, moments, flush):
    """It grows while the node stands still, and the worker is killed at that time, or a moment later; the
    kernel may write the page back meanwhile."""
    _, size, written = GROWTHS[how]
    for moment in moments:
        what = "%s, killed after %g s%s" % (how, moment, ", written back" if flush else "")
        fd = make(mount, "killed")
        page = LastPage(fd)
        page.spoil(OLD)
        time.sleep(0.4)  # workers that die young end the mount
        node.stop()
        thread = Growing(mount, how, "killed")
        if flush:
            libc.sync_file_range(fd, ctypes.c_long(page.begin), ctypes.c_long(PAGE), SYNC_FILE_RANGE_WRITE)
        node.go_on()
        time.sleep(moment)
        mount.kill_worker()
        thread.join(lab.patience(20))
        expect(not thread.is_alive(), "%s: it hangs", what)
        expect(not thread.error, "%s: %s", what, thread.error)
        check(what, fd, size, written, page)
        page.close()
        os.close(fd)
        os.unlink(mount.file("killed"))


def test(l):
    node = Node(l, "512M")
    mount = Mount(l, [node], name="one")
    kept = every_growth(l, mount, [node])
    page_is_not_cached(mount)
    has_no_name(mount)
    if lab.features.fuse_resend():
        for how in GROWTHS:
            for flush in (False, True):
                killed_worker(mount, node, how, (0, 0.0005, 0.002) if how in OFTEN else (0,), flush)
    mount.unmount()
    elsewhere(l, kept, [node])


lab.main(test)
