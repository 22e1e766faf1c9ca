#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount that runs is given more nodes, while programs write and check their pages. Files that are made then lie on them, too, also
after the worker was killed; and those that are open for writing give of what they have, with two copies and with one, until
each node has its part, after which nothing moves any more; one large region alone, of two copies or of one, does so, too. A reader on
another mount, whose record is from before, never finds what is old. A node that does not answer, or that the mount has, is not
added."""

import os
import sys

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 6 * MIB
FILES = 3


def add(test, mount, *words, status=0):
    return test.run(program("gvm"), "node", "add", *words[:-1], mount.path, words[-1], status=status)


def promised(nodes):
    return [node.stats()["reserved_bytes"] for node in nodes]


def is_even(nodes, whole):
    """And no part is promised on two nodes, as while it moves."""
    taken = promised(nodes)
    return min(taken) >= 0.85 * sum(taken) / len(taken) and sum(taken) < 1.05 * whole


def moves(mount):
    return mount.log().count("is much fuller than another")


def fill(mount, name, seed):
    fd = os.open(mount.file(name), os.O_RDWR)
    os.pwrite(fd, (b"%16d" % seed) * (SIZE // 16), 0)
    os.fsync(fd)
    return fd


def stays(fd, seed):
    expect(os.pread(fd, SIZE, 0) == (b"%16d" % seed) * (SIZE // 16), "file %d has other bytes", seed)


def rebalances(test, mount, nodes):
    """Two programs, and files that are only open."""
    mappers = [Mapper(test, mount.region(mode, SIZE), mode) for mode in ("auto", "fuse")]
    mount.budget("auto", SIZE // 4)
    for mapper in mappers:
        mapper.do("fill", 0, SIZE, 3)
        mapper.ask("churn", 0, SIZE, 9)
    fds = []
    for i in range(FILES - len(mappers)):
        mount.region("file%d" % i, SIZE)
        fds.append(fill(mount, "file%d" % i, i))
    expect(not moves(mount), "something moves though nothing is uneven")
    whole = sum(promised(nodes))
    add(test, mount, nodes[-1].address)
    wait_for("something moves", lambda: moves(mount), 20)
    mount.kill_worker()
    wait_for("each node has its part", lambda: is_even(nodes, whole), 60)
    made = moves(mount)
    for mapper in mappers:
        mapper.answer(60)
        mapper.do("fill", 0, SIZE, 4)
        mapper.do("check", 0, SIZE, 4)
        mapper.end()
    for i, fd in enumerate(fds):
        stays(fd, i)
        os.close(fd)
    expect(moves(mount) == made, "it does not end")


def reads_nothing_old(fd, seed, seed_before):
    """By a record from before parts have moved: what is there now, or nothing."""
    for place in range(0, SIZE, 1 << 17):
        try:
            found = os.pread(fd, 16, place)
        except OSError:
            continue
        expect(found == b"%16d" % seed, "a reader finds %s at %d (before: %d)", found, place, seed_before)


def spreads(test, mount, nodes):
    """One region, of which each node has all. What it gives to the new one it does not keep."""
    mapper = Mapper(test, mount.region("large", 4 * SIZE))
    mapper.do("fill", 0, 4 * SIZE, 3)
    mapper.ask("churn", 0, SIZE, 5)
    whole = sum(promised(nodes))
    add(test, mount, nodes[-1].address)
    wait_for("something moves", lambda: moves(mount), 30)
    wait_for("each node has its part", lambda: is_even(nodes, whole), 60)
    wait_for("nobody keeps what moved", lambda: sum(n.stats()["chunks"] for n in nodes) <= 2 * 4 * SIZE // (128 << 10), 30)
    mapper.answer(60)
    mapper.do("fill", 0, SIZE, 3)
    mapper.do("check", 0, 4 * SIZE, 3, seconds=60)
    mapper.end()


def spreads_beside_a_reader(test, mount, nodes):
    """Of one copy, of which each node has a half; and the worker dies while a part moves."""
    path = mount.region("read", 4 * SIZE)
    writer = os.open(path, os.O_RDWR)
    os.pwrite(writer, (b"%16d" % 1) * (SIZE // 16), 0)
    os.fsync(writer)
    far = Mount(test, nodes[:2], name="far")
    reader = os.open(far.file("read"), os.O_RDONLY)
    expect(os.pread(reader, 16, 0) == b"%16d" % 1, "a reader does not find what was written")
    whole = sum(promised(nodes))
    add(test, mount, nodes[-1].address)
    wait_for("something moves", lambda: moves(mount), 30)
    mount.kill_worker()
    wait_for("each node has its part", lambda: is_even(nodes, whole), 60)
    wait_for("nobody keeps what moved", lambda: sum(n.stats()["chunks"] for n in nodes) <= SIZE // (128 << 10), 30)
    os.pwrite(writer, (b"%16d" % 2) * (SIZE // 16), 0)
    os.fsync(writer)
    reads_nothing_old(reader, 2, 1)
    os.close(reader)
    os.close(writer)


def takes_a_list(test, mount, nodes):
    """Of those of a file the mount has some. New files lie on all."""
    conf = test.path("cluster.conf")
    with open(conf, "w", encoding="ascii") as f:
        for i, node in enumerate(nodes):
            f.write("%d %s mem\n" % (i, node.address))
    said = test.run(program("gvm"), "node", "add", "--conf", conf, mount.path)
    expect(said.count("added to") == 1, "gvm node add says: %s", said)
    mount.kill_worker()
    mount.region("new", SIZE)
    os.close(fill(mount, "new", 7))
    expect(mount.stats("new")["region_nodes"] == len(nodes), "a new file is not on all nodes")
    add(test, mount, nodes[0].address)
    before = mount.stats()["nodes"]
    add(test, mount, "127.0.0.1:1", status=1)
    expect(mount.stats()["nodes"] == before, "a node that is not there is added")


def of_two_copies(test):
    nodes = [Node(test, "200M", name="node%d" % i) for i in range(4)]
    mount = Mount(test, nodes[:2], "--replicas", "2")
    rebalances(test, mount, nodes[:3])
    takes_a_list(test, mount, nodes)


def large(test):
    nodes = [Node(test, "200M", name="large%d" % i) for i in range(3)]
    spreads(test, Mount(test, nodes[:2], "--replicas", "2", "--repair-rate", "30", name="large"), nodes)


def read_meanwhile(test):
    nodes = [Node(test, "200M", name="read%d" % i) for i in range(3)]
    spreads_beside_a_reader(test, Mount(test, nodes[:2], name="near"), nodes)


def of_one_copy(test):
    nodes = [Node(test, "200M", name="single%d" % i) for i in range(3)]
    rebalances(test, Mount(test, nodes[:2], name="single"), nodes)


def main(test):
    """All at a time, since most of it is to wait for what gvmfs does every few seconds."""
    threads = [lab.Thread(what, test) for what in (of_two_copies, large, read_meanwhile, of_one_copy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mount in list(test.mounts):  # now that nobody forks, and has files of a mount for a moment longer
        mount.unmount()


if __name__ == "__main__":
    sys.exit(lab.main(main))
