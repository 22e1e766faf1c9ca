#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that lies about a sealed region, in all ways that there are, to a file and to the fast path: the access is an
error, and what the host has told of is there again when the node is honest. Nothing of what a program wrote is in the
node's memory. A mount without the key, or with another, does not open the region, and says why."""

import errno
import os
import random
import re
import signal

import lab
from access import content
from lab import expect, program
from mapper import Mapper
from remote import Mount, Node, open_error
from sealing import Liar, holds, key_file

CHUNK = 128 << 10
MIB = 1 << 20
SIZE = 16 * MIB
LIES = ["flip", "tag", "old", "swap", "elsewhere", "zero", "plain"]
APART = SIZE // len(LIES) // CHUNK * CHUNK


def read_page(path, offset):
    """A page from the nodes: its bytes, or an errno."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, 4096, offset)
    except OSError as why:
        return why.errno
    finally:
        os.close(fd)


def lie_about(liar, path, how, offset):
    """Whether one was told about the page; if not, the liar has nothing to put in its place."""
    before = liar.counts()[3]
    liar.lies(how)
    got = read_page(path, offset)
    right, told = content(offset, 4096, 2), liar.counts()[3] > before
    # A page is asked for by itself where an answer was refused: then what comes may be what was stored.
    expect(got == right or (told and got == errno.EIO), "%s: a page of a lying node reads as %s", how,
           got if isinstance(got, int) else repr(got[:16]))
    liar.lies("honest")
    got = read_page(path, offset)
    expect(got == right, "%s: the node is honest again, and the page reads as %s", how,
           got if isinstance(got, int) else repr(got[:16]))
    return told


def lies_are_errors(l, mount, liar, path, successor):
    for i, how in enumerate(LIES):
        # The first page of a chunk is random, and was other before. Each in a place that nothing has read yet.
        places = [i * APART + (1 + 3 * successor + 6 * n) * CHUNK for n in range(APART // CHUNK // 6)]
        expect(any(lie_about(liar, path, how, place - place // 4096 % 3 * 4096) for place in places),
               "%s: no lie was told", how)
    mount.says(r"read of chunk \d+ .*REFUSED: it is not what this host sealed last")


def fast_path_gets_no_lie(l, mount, liar, path):
    """A page that cannot be had is a memory failure to whoever touches it."""
    mount.budget("ram", 2 * MIB)
    guest = Mapper(l, path)
    guest.do("fill", 0, SIZE, 3, seconds=60)
    guest.do("check", SIZE // 2, MIB, 3)
    liar.lies("old")
    guest.ask("check", 0, MIB, 3)
    status = guest.process.wait(30)
    expect(status == -signal.SIGBUS, "a program that touches what a node lied about ended with status %s:\n%s",
           status, guest.process.log())
    liar.lies("honest")
    mount.drained("ram")
    l.check(path, 0, SIZE, 3)


def node_has_no_plaintext(l, node, key):
    marks = [random.Random(n).randbytes(64) for n in range(2)]
    for mark, options, found in ((marks[0], ["--no-seal"], True), (marks[1], ["--seal-key-file", key], False)):
        mount = Mount(l, [node], *options)
        path = mount.region("marked-%d" % found, MIB)
        with open(path, "r+b") as f:
            for at in range(0, MIB, 4096):
                # Once as lz4 leaves it, once as it is.
                f.write((mark + bytes(4096 - len(mark))) if at % 8192 else random.randbytes(4096 - 64) + mark)
        mount.unmount()
        expect(holds(node.process.pid, mark) == found, "the node's memory %s what was written",
               "lacks" if found else "holds")


def others_do_not_open(l, node, key):
    for options, error, said in (
            ([], errno.ENOKEY, "needs --seal-key-file"),
            (["--seal-key-file", key_file(l, "other.key")], errno.EKEYREJECTED, "this mount has key"),
            (["--seal-key-file", key], 0, None)):
        mount = Mount(l, [node], *options)
        for name in ("ram", "other"):
            got = open_error(mount.file(name))
            expect(got == error, "%s: opening gives %s", options, got)
        got = open_error(mount.file("marked-1"))
        expect(got == (errno.EPERM if options else 0), "an unsealed region opens with %s under %s", got, options)
        if said:
            mount.says(r"\[ram\]: it is sealed.*%s" % said)
        else:
            l.check(mount.file("ram"), 0, SIZE, 3)  # the host is another one: what the nodes have is what was written
        mount.unmount()


def starts_say_what_is_lacking(l, node, key):
    folder, loose = l.path("nothing"), key_file(l, "loose.key")
    os.mkdir(folder)
    os.chmod(loose, 0o644)
    away = "10.77.0.1:9999"  # nobody is there, and nobody is asked
    for nodes, options, status, pattern in (
            (away, ["--seal-key-file", loose], 1, "its mode is 0644"),
            (away, ["--seal-key-file", l.path("none")], 1, "No such file"),
            (away, ["--no-seal", "--seal", "--seal-key-file", key], 2, "contradicts"),
            *([] if os.path.exists("/etc/gvm/seal.key") else [
                (away, [], 1, "openssl rand -hex 32 > /etc/gvm/seal.key.*or give --no-seal"),
                (node.address, ["--seal"], 1, "openssl rand -hex 32 > /etc/gvm/seal.key")])):
        said = l.run(program("gvmfs"), "--nodes", nodes, *options, folder, status=status)
        expect(re.search(pattern, said), "%s: it says %s", options, said)


def create(l, mount, name, *options, status=0):
    path = mount.file(name)
    said = l.run(program("gvm"), "region", "create", *options, path, MIB, status=status)
    return said if status else path


def sealed(path):
    return os.getxattr(path, "user.gvm.seal") == b"1"


def regions_choose_for_themselves(l, node, key):
    """Each is sealed, or not, as it was made, whatever its mount does by default; and only who has the key has the word."""
    mount = Mount(l, [node], "--no-seal", "--seal-key-file", key)
    mark = {name: random.Random(name).randbytes(64) for name in ("open", "closed")}
    paths = {"open": create(l, mount, "open"), "closed": create(l, mount, "closed", "--seal")}
    for name, path in paths.items():
        expect(sealed(path) == (name == "closed"), "%s says of itself that it is%s sealed", name, "" if sealed(path) else " not")
        with open(path, "r+b") as f:
            f.write(mark[name] * (MIB // 64))
            os.fsync(f.fileno())
            mount.kill_worker()
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            f.seek(0)
            expect(f.read() == mark[name] * (MIB // 64), "%s reads otherwise after the worker's death", name)
        expect(holds(node.process.pid, mark[name]) == (name == "open"), "the node can%s read %s",
               "" if name == "closed" else "not", name)
        try:
            os.setxattr(path, "user.gvm.seal", b"01"[name == "open":][:1])
            expect(False, "%s has a size, and becomes the other way", name)
        except OSError as why:
            expect(why.errno == errno.EBUSY, "%s has a size, and another way is %s", name, why)
    mount.unmount()
    mount = Mount(l, [node], "--seal-key-file", key)
    for name in paths:
        with open(mount.file(name), "rb") as f:
            expect(f.read() == mark[name] * (MIB // 64), "%s reads otherwise in a mount that seals by default", name)
    guest = Mapper(l, mount.file("open"))
    guest.do("fill", 0, MIB, 5)
    guest.end()
    mount.drained("open")
    l.check(mount.file("open"), 0, MIB, 5)
    expect(sealed(create(l, mount, "third")) and not sealed(create(l, mount, "fourth", "--no-seal")),
           "the option does not count")
    mount.unmount()
    mount = Mount(l, [node])
    expect(open_error(mount.file("open")) == 0, "what is plain by the key's word does not open without a key")
    expect(open_error(mount.file("closed")) == errno.ENOKEY, "what is sealed opens without a key")
    expect("no key to seal it with" in create(l, mount, "fifth", "--seal", status=1), "it does not say what it lacks")
    expect(not os.path.exists(mount.file("fifth")), "it is made all the same")
    mount.unmount()
    mount = Mount(l, [node], "--no-seal", "--seal-key-file", key_file(l, "other.key"))
    for name in paths:
        got = open_error(mount.file(name))
        expect(got == errno.EKEYREJECTED, "%s: with another key opening gives %s", name, got)
    mount.says(r"\[open\]: it is not sealed, by the word of one who had another key")
    mount.unmount()


def what_is_said_of_regions_harms_nothing(l, node, liar, key):
    """A node tells of attachments and versions that cannot be, or has a region cut off: a region on it and on another one does
    not open, or is what it was. (In the first case a node could have this host believe that what it wrote is zero.)"""
    mount = Mount(l, [liar, node], "--seal-key-file", key, name="lied-to")
    path = mount.region("spread", 4 * MIB)
    l.write(path, 0, 4 * MIB, 6)
    for how, said in (("future", "a writer that is yet to come"), ("epoch", None), ("smaller", "nothing is cut off")):
        liar.lies(how)
        told = liar.counts()[3]
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError as why:
            l.log("%s: opening gives %s", how, why)
        else:
            try:
                os.pwrite(fd, content(0, 4096, 7), 0)
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                expect(os.pread(fd, 4096, 0) == content(0, 4096, 7), "%s: what was written and acknowledged reads otherwise", how)
            finally:
                os.close(fd)
            expect(False, "%s: the region opens", how)
        expect(liar.counts()[3] > told, "%s: no lie was told", how)
        if said:
            mount.says(r"\[spread\]: .*%s" % said)
        liar.lies("honest")
        l.check(path, 0, 4 * MIB, 6)
        with open(path, "r+b") as f:
            expect(f.read(4096) == content(0, 4096, 6), "%s: the node is honest again, and it reads otherwise", how)
    mount.unmount()


def says_opened(mount, name, error):
    got = open_error(mount.file(name))
    expect(got == error, "%s: opening gives %s, not %s", name, got, error)


def names_stay_with_their_regions(l, node, key):
    """A node that gives a sealed region's name, or its folder's, to a plain one of the same key has no host write there."""
    def in_new_mount(*options):
        return Mount(l, [node], *(options or ("--seal-key-file", key)))

    mount = in_new_mount()
    for name in ("one", "two"):
        os.mkdir(mount.file(name))
    for name, how in (("here", "--no-seal"), ("there", "--seal"), ("one/ram", "--no-seal"), ("two/ram", "--seal")):
        create(l, mount, name, how)
    os.rename(mount.file("one/ram"), mount.file("one/moved"))
    os.rename(mount.file("one/moved"), mount.file("one/ram"))
    os.rename(mount.file("here"), mount.file("plain"))
    mount.unmount()
    for plain, other, taken in (("plain", "there", "there"), ("one", "two", "two/ram")):
        own = plain if plain == "plain" else plain + "/ram"
        mount = in_new_mount()
        for name in (own, taken):
            says_opened(mount, name, 0)
        expect(not sealed(mount.file(own)) and sealed(mount.file(taken)), "%s and %s are not as they were made", own, taken)
        mount.unmount()
        l.run(program("record_put"), node.address, "--swap", "%s/%s" % (plain, other))
        mount = in_new_mount()
        says_opened(mount, taken, errno.EKEYREJECTED)
        says_opened(mount, own, 0)  # what the host sealed under the other name
        mount.says(r"nodes have exchanged names")
        os.rename(mount.file(other), mount.file("again"))  # makes nothing good
        says_opened(mount, taken.replace(other, "again"), errno.EKEYREJECTED)
        os.rename(mount.file("again"), mount.file(other))
        mount.unmount()
        l.run(program("record_put"), node.address, "--swap", "%s/%s" % (plain, other))
    # A mount without the key cannot say that of a new name. A folder that it has made has no plain region.
    mount = in_new_mount("--no-seal")
    os.rename(mount.file("plain"), mount.file("renamed"))
    os.mkdir(mount.file("foreign"))
    mount.unmount()
    mount = in_new_mount()
    says_opened(mount, "renamed", errno.EKEYREJECTED)
    says_opened(mount, "one/ram", 0)
    expect("not permitted" in create(l, mount, "foreign/ram", "--no-seal", status=1), "a plain region is made in a foreign folder")
    try:
        os.rename(mount.file("one/ram"), mount.file("foreign/ram"))
        expect(False, "a plain region is moved to a foreign folder")
    except OSError as why:
        expect(why.errno == errno.EPERM, "a plain region is moved to a foreign folder: %s", why)
    create(l, mount, "foreign/closed", "--seal")
    mount.unmount()


def test(l):
    node = Node(l, "192M")
    liar = Liar(l, node)
    key = key_file(l)
    starts_say_what_is_lacking(l, node, key)
    node_has_no_plaintext(l, node, key)
    mount = Mount(l, [liar], "--seal-key-file", key)
    path, other = (mount.region(name, SIZE) for name in ("ram", "other"))
    hold = os.open(path, os.O_RDWR)  # while this host has it open, it knows what it sent
    l.write(path, 0, SIZE, 1)
    l.write(other, 0, SIZE, 4)
    l.write(path, 0, SIZE, 2)
    lies_are_errors(l, mount, liar, path, False)
    mount.kill_worker()
    lies_are_errors(l, mount, liar, path, True)
    os.close(hold)
    fast_path_gets_no_lie(l, mount, liar, path)
    mount.unmount()
    others_do_not_open(l, node, key)
    regions_choose_for_themselves(l, node, key)
    names_stay_with_their_regions(l, node, key)
    other = Node(l, "64M", name="other")
    what_is_said_of_regions_harms_nothing(l, other, liar, key)


lab.main(test)
