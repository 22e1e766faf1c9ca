#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside a region NAME there are NAME.core, NAME.low and NAME.high: what the region has at each moment, where a machine has
it, for those who may read it. They are found, never listed, cannot be changed, give way to files of their name and end with
the region. Reading them changes nothing about what is on this host, and fetches what is read; who has one open keeps no guest
from the fast path. Another host's show what its nodes have."""

import errno
import mmap
import os
import shutil
import struct
import subprocess

import lab
from lab import expect, features, wait_for
from mapper import Mapper
from remote import Mount, Node

KIB, MIB = 1 << 10, 1 << 20
HEAD = 128 * KIB
SIZE = 16 * MIB
LOW = 10 * MIB


def refused(number, what, *arguments):
    try:
        what(*arguments)
    except OSError as why:
        expect(why.errno == number, "%s%s: %s", what.__name__, arguments, why)
        return
    raise lab.Failure("%s%s is not refused" % (what.__name__, arguments))


def opened(path, flags):
    os.close(os.open(path, flags))


def content(path, offset, length):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def loads(path):
    """[(guest physical address, offset in the region, bytes)] of a core."""
    head = content(path, 0, 4096)
    expect(head[:5] == b"\x7fELF\x02", "no ELF file begins with %r", head[:5])
    count, = struct.unpack_from("<H", head, 56)
    found = [struct.unpack_from("<IIQQQQ", head, 64 + 56 * i) for i in range(count)]
    return [(paddr, offset - HEAD, size) for kind, _, offset, _, paddr, size in found if kind == 1]


def shows_the_region(l, region):
    os.setxattr(region, "user.gvm.core", b"low %d" % LOW)
    expect(loads(region + ".core") == [(0, 0, LOW), (1 << 32, LOW, SIZE - LOW)], "loads are %s", loads(region + ".core"))
    with open(region, "rb") as f:
        whole = f.read()
    sizes = [os.stat(region + view).st_size for view in (".core", ".low", ".high")]
    expect(sizes == [HEAD + SIZE, LOW, SIZE - LOW], "sizes are %s", sizes)
    expect(content(region + ".low", 0, SIZE) == whole[:LOW], ".low is something else")
    expect(content(region + ".high", 0, SIZE) == whole[LOW:], ".high is something else")
    with open(region + ".core", "rb") as f:
        core = f.read()
    expect(core[HEAD:] == whole and core[4096:HEAD] == bytes(HEAD - 4096), ".core is something else")
    for offset, length in ((HEAD - 5, 10), (1, 3 * HEAD), (HEAD + SIZE - 7, 100), (HEAD + LOW - 1, 2 * MIB),
                           (HEAD + SIZE, 5), (HEAD + SIZE + MIB, 5), (777, 0)):
        expect(content(region + ".core", offset, length) == core[offset:offset + length],
               "%d bytes at %d are others", length, offset)
    fd = os.open(region + ".core", os.O_RDONLY)
    with mmap.mmap(fd, HEAD + SIZE, mmap.MAP_PRIVATE, mmap.PROT_READ) as m:
        expect(m[100:2 * HEAD] == core[100:2 * HEAD], "a private mapping of .core is something else")
    os.fsync(fd)
    os.close(fd)
    for copy in (lambda a, b: l.run("cp", "-a", a, b), shutil.copyfile):  # with holes, and by sendfile(2)
        copy(region + ".core", l.path("copy"))
        with open(l.path("copy"), "rb") as f:
            expect(f.read() == core, "a copy of .core is something else")


def sparse(mount):
    """Holes of the region are those of its views."""
    region = mount.region("sparse", SIZE)
    os.setxattr(region, "user.gvm.core", b"low %d" % LOW)
    with open(region, "r+b") as f:
        os.pwrite(f.fileno(), b"x", 12 * MIB)
        os.fsync(f.fileno())
        for view, start in ((".core", -HEAD), (".high", LOW)):
            with open(region + view, "rb") as v:
                at = os.lseek(v.fileno(), HEAD if view == ".core" else 0, os.SEEK_DATA)
                expect(at == 12 * MIB - start, "%s has data at %d", view, at)
                at = os.lseek(v.fileno(), at, os.SEEK_HOLE)
                expect(at == 12 * MIB - start + 128 * KIB, "%s has a hole at %d", view, at)
        with open(region + ".low", "rb") as v:
            refused(errno.ENXIO, os.lseek, v.fileno(), 0, os.SEEK_DATA)
    os.unlink(region)


def cannot_be_changed(mount, region):
    view = region + ".core"
    expect(sorted(os.listdir(mount.path)) == ["ram"], "listed are %s", os.listdir(mount.path))
    for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY | os.O_TRUNC):
        refused(errno.EROFS, opened, view, flags)
    refused(errno.EPERM, os.unlink, view)
    refused(errno.EPERM, os.rename, view, mount.file("other"))
    refused(errno.EPERM, os.link, view, mount.file("other"))
    refused(errno.EPERM, os.chmod, view, 0o644)
    refused(errno.EPERM, os.truncate, view, 5)
    refused(errno.EPERM, os.setxattr, view, "user.gvm.core", b"low 4096")
    refused(errno.ENODATA, os.getxattr, view, "user.gvm.stats")
    refused(errno.EEXIST, os.mkdir, view)
    refused(errno.ENOENT, os.stat, mount.file("none.core"))
    refused(errno.EINVAL, os.setxattr, region, "user.gvm.core", b"low 4095")
    os.chmod(region, 0o640)
    os.chown(region, 7, 8)
    st = os.stat(view)
    expect((st.st_mode & 0o7777, st.st_uid, st.st_gid) == (0o440, 7, 8), "%s is of %s", view, st)


def forgets_the_kernel_alone(mount, region):
    """Where the machine has its memory holds on when the region is opened for writing anew."""
    os.setxattr(region, "user.gvm.core", b"low %d\nbefore %d\ndirect_map 0xffff888000000000" % (LOW, 4 * MIB))
    wait_for("nobody writes to it", lambda: not mount.stats("ram")["attached_epoch"])
    opened(region, os.O_RDWR)
    text = os.getxattr(region, "user.gvm.core")
    expect(text == b"low 0x%x\nbefore 0x%x\n" % (LOW, 4 * MIB), "after that it says %s", text)
    os.removexattr(region, "user.gvm.core")
    os.setxattr(region, "user.gvm.core", b"low %d" % LOW)


def gives_way(mount):
    a, b = mount.region("a", MIB), mount.region("b", 2 * MIB)
    os.rename(b, a + ".low")  # a region of this name
    expect(os.stat(a + ".low").st_size == 2 * MIB, "the view hides the file")
    expect(sorted(os.listdir(mount.path)) == ["a", "a.low", "ram"], "listed are %s", os.listdir(mount.path))
    os.unlink(a + ".low")
    expect(os.stat(a + ".low").st_size == MIB, "with the file the view is gone")
    expect(not os.path.exists(a + ".high"), "there is a view of nothing")
    os.rename(a, b)
    wait_for("the view goes with the name", lambda: not os.path.exists(a + ".core"))
    expect(os.path.exists(b + ".core"), "the view has not come with the name")
    os.unlink(b)
    wait_for("the view ends with its region", lambda: not os.path.exists(b + ".core"))


def cached(path):
    return int(subprocess.run(["fincore", "-n", "-o", "PAGES", path], check=True, text=True, capture_output=True).stdout)


def shows_what_is_mapped(region):
    """Also what the kernel alone has yet, and leaves it there."""
    with open(region, "r+b") as f, mmap.mmap(f.fileno(), SIZE) as m:
        m[5 * MIB:5 * MIB + 5] = b"dirty"
        expect(content(region + ".core", HEAD + 5 * MIB, 5) == b"dirty", "what is not written back is not shown")
        before = cached(region)  # after what was read above of the file itself, some of which may go
        content(region + ".core", 0, HEAD + SIZE)
        after = cached(region)
        expect(1 <= after <= before, "%d pages were here, now %d", before, after)


def changes_no_residency(l, mount, region):
    mount.budget("ram", 4 * MIB)
    with open(region + ".core", "rb"):
        client = Mapper(l, region)
        client.do("fill", 0, SIZE, 1)
    expect(mount.stats("ram")["fast"], "who has a view open keeps a guest from the fast path")
    counted = "resident_bytes", "faults", "evictions", "chunks_fetched"

    def read():
        found = []
        for part in (None, (HEAD + 8 * MIB, 5), (0, HEAD + SIZE)):
            if part:
                content(region + ".core", *part)
            found.append([mount.stats("ram")[name] for name in counted])
        return found
    found = lab.in_its_time(read, lambda found: found[0][:3] == found[1][:3] == found[2][:3])
    expect(found[0][:3] == found[1][:3] == found[2][:3], "reading changed %s: %s", counted, found)
    expect(found[1][3] - found[0][3] <= 1, "a few bytes took %d chunks", found[1][3] - found[0][3])
    expect(found[2][3] > found[1][3], "nothing had left this host")
    client.do("fill", 0, MIB, 2)
    with open(region, "rb") as f:
        expect(content(region + ".low", 0, LOW) == f.read(LOW), "the view is not what the file shows")
    client.end()
    mount.drained("ram")


def outlives_a_worker(mount, region):
    if not features.fuse_resend():
        return
    with open(region + ".core", "rb") as f:
        expect(f.read(4) == b"\x7fELF", "no ELF file")
        mount.kill_worker()
        f.seek(HEAD)
        expect(f.read(MIB) == content(region, 0, MIB), "after a worker's death the view shows something else")
    expect(b"low 0x%x" % LOW in os.getxattr(region, "user.gvm.core"), "the successor knows nothing of the guest")


def other_hosts_show_it(l, nodes, mount, region):
    other = Mount(l, nodes, name="other")
    os.setxattr(other.file("ram"), "user.gvm.core", b"low %d" % LOW)
    for view in (".core", ".high"):
        expect(content(other.file("ram") + view, 0, HEAD + SIZE) == content(region + view, 0, HEAD + SIZE),
               "another host's %s is something else", view)
    os.removexattr(other.file("ram"), "user.gvm.core")
    expect(b"guessed" in os.getxattr(other.file("ram"), "user.gvm.core"), "what was set is not forgotten")


def test(l):
    nodes = [Node(l, "128M")]
    mount = Mount(l, nodes)
    region = mount.region("ram", SIZE)
    l.write(region, 0, SIZE, 1)
    shows_the_region(l, region)
    sparse(mount)
    cannot_be_changed(mount, region)
    forgets_the_kernel_alone(mount, region)
    gives_way(mount)
    shows_what_is_mapped(region)
    changes_no_residency(l, mount, region)
    outlives_a_worker(mount, region)
    other_hosts_show_it(l, nodes, mount, region)
    mount.unmount()


lab.main(test)
