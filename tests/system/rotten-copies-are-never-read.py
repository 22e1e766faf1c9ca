#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bits flip in what a node holds. Where that is the only copy, the pages concerned are an error (EIO, SIGBUS) and the log says
which node it was, and what is written anew is right again, also a part of a chunk of which the node can read nothing; where there is another copy, it is read and nobody notices, and
writes of a part of what is rotten wait for nothing. So it is with what is sealed."""

import os
import signal
import sys

import lab
from access import PAGE, content, page
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node, forget
from sealing import key_file
import stored

MIB = 1 << 20
SIZE = 16 * MIB
CHUNK = 128 << 10


def dies_of_it(test, mount, mode):
    mapper = Mapper(test, mount.file("single"), mode)
    mapper.ask("check", 0, SIZE, 1)
    status = mapper.process.wait(60)
    expect(status == -signal.SIGBUS, "%s: the program ended with %s: %s", mode, status, mapper.process.log())


def refused(test, mount, node):
    path = mount.region("single", SIZE)
    test.write(path, 0, SIZE, 1)
    stored.flip(node.process.pid, 0.02, 7)
    right, errors = stored.tell(path, content(0, SIZE, 1))
    test.log("of one copy %d pages are right, %d an error", right, errors)
    expect(errors and right > errors, "%d pages are right, %d an error", right, errors)
    mount.says("node %s.*(damage|checksum|does not verify|garble)" % node.address)
    dies_of_it(test, mount, "fuse")
    dies_of_it(test, mount, "auto")
    test.write(path, 0, SIZE, 2)
    test.check(path, 0, SIZE, 2)
    parts_kept(mount, node, path)
    test.write(path, 0, SIZE, 6)
    test.check(path, 0, SIZE, 6)


def parts_kept(mount, node, path):
    """Of many chunks the head is damaged: an fsync does not wait for ever, and says rightly that what was written is there."""
    wanted = bytearray(content(0, SIZE, 2))
    fd = os.open(path, os.O_RDWR)
    forget(path)
    stored.flip(node.process.pid, 1, 9)
    for at in range(0, SIZE, CHUNK):
        wanted[at:at + PAGE] = page(at, 5)
        os.pwrite(fd, wanted[at:at + PAGE], at)
    os.fsync(fd)
    forget(path)
    for at in range(0, SIZE, CHUNK):
        expect(os.pread(fd, PAGE, at) == wanted[at:at + PAGE], "the page at %d, which was written, is wrong", at)
    os.close(fd)
    mount.says("LOST: pages that no node could read")
    _, errors = stored.tell(path, wanted)
    expect(errors, "all pages are right, though bits have flipped everywhere")


def made_smaller(test, mount, node):
    """Nothing can be read of a file that ends within a page, neither where its new end is nor its old one: it gets smaller all
    the same, and what was cut off in other pages does not come back."""
    size, cut = 3 * PAGE - 1000, 100
    path = mount.region("smaller", size)
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, os.urandom(size), 0)
    os.fsync(fd)
    os.close(fd)
    forget(path)
    stored.flip(node.process.pid, 1, 11)
    test.run(sys.executable, "-c", "import os, sys; os.truncate(sys.argv[1], %d)" % cut, path,
             seconds=90)
    mount.says("what lies behind its new end")
    fd = os.open(path, os.O_RDWR)
    expect(os.fstat(fd).st_size == cut, "its size is %d", os.fstat(fd).st_size)
    os.ftruncate(fd, size)
    found = os.pread(fd, size, PAGE)
    expect(found == bytes(size - PAGE), "%d bytes are read, not all zeros", len(found))
    os.close(fd)


def written(mount, path):
    """A part of each chunk: the node cannot add it to what is rotten, and is given all of the chunk at once."""
    wanted = bytearray(content(0, SIZE, 3))
    fd = os.open(path, os.O_RDWR)
    for at in range(0, SIZE, CHUNK):
        wanted[at:at + PAGE] = page(at, 4)
        os.pwrite(fd, wanted[at:at + PAGE], at)
    os.fsync(fd)
    os.close(fd)
    expect("tried again" not in mount.log(), "writes of a part of a chunk that is rotten waited:\n%s", mount.log())
    right, errors = stored.tell(path, wanted)
    expect(not errors, "%d pages are an error, though another node has them", errors)


def unnoticed(test, mount, node):
    path = mount.region("double", SIZE)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 3)
    # A node that stood still meanwhile was left out, and is given some of it anew while the region is open for writing.
    wait_for("all copies are there", lambda: not mount.stats("double").get("slots_degraded"))
    stored.flip(node.process.pid, 1, 8)
    os.close(writer)
    right, errors = stored.tell(path, content(0, SIZE, 3))
    expect(not errors, "%d pages are an error, though another node has them", errors)
    for mode in ("fuse", "auto"):
        mapper = Mapper(test, path, mode)
        mount.budget("double", SIZE // 4)
        mapper.do("check", 0, SIZE, 3)
        mapper.end()
        mount.drained("double")
    written(mount, path)


def main(test):
    for seal in [], ["--seal-key-file", key_file(test)]:
        one = Node(test, "64M", name="one")
        mount = Mount(test, [one], *seal, name="single")
        refused(test, mount, one)
        if not seal:
            made_smaller(test, mount, one)
        mount.unmount()
        nodes = [Node(test, "64M", name="two-%d" % n) for n in range(2)]
        mount = Mount(test, nodes, "--replicas", "2", *seal, name="double")
        unnoticed(test, mount, nodes[0])
        mount.unmount()


if __name__ == "__main__":
    sys.exit(lab.main(main))
