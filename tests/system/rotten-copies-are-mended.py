#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""All that one of two nodes holds becomes rotten. What a read finds so is written there anew from the other copy: read once
more, it is good, and a second node that rots meanwhile costs nothing. Another host, that only reads, turns to the good copy at
once. What nobody reads is looked for: the other node can go away then. Where both nodes are rotten, each in other pages of a chunk,
all of it is read, and written anew on both. What all nodes have rotten, and the fast path has in this
host's memory, is written anew from that. So it is with what is sealed."""

import os
import sys
import time

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
CHUNKS = SIZE // CHUNK
FEW = 16


def settled(mount):
    """What was found is mended: how many copies that were."""
    wait_for("what was found is mended",
             lambda: mount.stats()["copies_mended"] == mount.stats()["copies_rotten"])
    return mount.stats()["copies_mended"]


def all_right(path, seed):
    right, errors = stored.tell(path, content(0, SIZE, seed))
    expect(not errors, "%d pages are an error, though another node has them", errors)


def written(test, mount):
    """A region, and a descriptor by which the mount stays its writer."""
    path = mount.region("ram", SIZE)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 1)
    # A node that stood still meanwhile was left out, and is given some of it anew.
    wait_for("all copies are there", lambda: not mount.stats("ram").get("slots_degraded"))
    return path, writer


def first_has_all(nodes, path):
    nodes[1].stop()
    try:
        all_right(path, 1)
    finally:
        nodes[1].go_on()


def end(writer, mount, *nodes):
    os.close(writer)
    mount.unmount()
    for node in nodes:
        node.end()


def by_mapping(test, mount, path):
    mapper = Mapper(test, path, "auto")
    mount.budget("ram", SIZE // 4)
    mapper.do("check", 0, SIZE, 1)
    mapper.end()
    mount.drained("ram")


def read_and_mended(test, mount, path, nodes, mode):
    """The node that answers more quickly is asked first, most of the time: after it stood still for a moment, less often."""
    def read():
        if mode == "auto":
            by_mapping(test, mount, path)
        else:
            all_right(path, 1)

    forget(path)
    stored.flip(nodes[0].process.pid, 1, 8)
    puts = nodes[0].stats()["puts"]
    read()
    read()
    mended = wait_for("rotten copies are mended", lambda: settled(mount) or forget(path) or read())
    test.log("%s: %d rotten copies were mended", mode, mended)
    expect(nodes[0].stats()["puts"] - puts >= mended, "they were not written")
    # A read may have been at a chunk while it was mended: then it is mended twice.
    expect(mended < CHUNKS + 8, "%d copies of %d were mended", mended, CHUNKS)
    mount.says("ROTTEN: chunk [0-9]+ on node %s " % nodes[0].address)


def reader_seconds(test, nodes, *seal):
    """A copy whose head is damaged does not say which version it is, and another has the newest."""
    other = Mount(test, nodes, *seal, name="reader")
    path = other.file("ram")
    wait_for("the other host sees the region", lambda: os.path.exists(path), 15)
    began = time.monotonic()
    with open(path, "rb", buffering=0) as f:
        for at in range(0, SIZE, SIZE // 32):
            found = os.pread(f.fileno(), PAGE, at)
            expect(found == content(at, PAGE, 1), "the page at %d is wrong", at)
    took = time.monotonic() - began
    test.log("a reader without the region's index read 32 pages in %.2f s", took)
    other.unmount()
    return took


def reader(test, nodes, *seal):
    took = lab.in_its_time(lambda: reader_seconds(test, nodes, *seal), lambda took: took < 8)
    expect(took < 8, "it waited for something: %.1f s", took)


def looked_for(test, *seal):
    """Nobody reads it, and then the other node gives no answers."""
    nodes = [Node(test, "64M", name="node-%d" % n) for n in range(2)]
    mount = Mount(test, nodes, "--replicas", "2", "--scrub-rate", "1000", *seal, name="scrub")
    path, writer = written(test, mount)
    forget(path)
    before = nodes[0].stats()["gets"]
    stored.flip(nodes[0].process.pid, 1, 10)
    wait_for("all that is rotten is found", lambda: mount.stats()["copies_mended"] >= CHUNKS)
    settled(mount)
    test.log("nobody read it, and %d copies were mended", mount.stats()["copies_mended"])
    expect(nodes[0].stats()["gets"] == before, "it was read to find that")
    stats = nodes[0].stats()
    expect(stats["rotten_found"] >= CHUNKS, "gvm node tells of %d rotten chunks", stats["rotten_found"])
    expect(not stats["rotten_chunks"], "%d of them are there yet", stats["rotten_chunks"])
    first_has_all(nodes, path)
    end(writer, mount, *nodes)


def random_page(chunk, nth):
    """The content of a chunk's nth page that does not compress."""
    number = (chunk * (CHUNK // PAGE) + 2) // 3 * 3 + 3 * nth
    return page(number, 1)


def apart(test):
    """Both nodes have all chunks, and of the first ones no node has all pages."""
    nodes = [Node(test, "64M", name="apart-%d" % n) for n in range(2)]
    mount = Mount(test, nodes, "--replicas", "2", "--scrub-rate", "1000", name="apart-mount")
    path, writer = written(test, mount)
    forget(path)
    stored.flip_in({node.process.pid: [random_page(chunk, n) for chunk in range(FEW)] for n, node in enumerate(nodes)})
    wait_for("both are mended", lambda: mount.stats()["copies_mended"] >= 2 * FEW)
    all_sound(mount, nodes)
    pieced = mount.stats("ram")["copies_pieced"]
    expect(pieced >= FEW, "%d copies were put together from two", pieced)
    mount.says("ROTTEN: no node has chunk [0-9]+ as it was stored, but each of its pages is sound on one")
    for node in nodes:
        wait_for("it has all", lambda: not mount.stats("ram")["slots_degraded"] and not mount.stats("ram")["slots_unanswered"])
        forget(path)
        node.stop()
        try:
            all_right(path, 1)
        finally:
            node.go_on()
    end(writer, mount, *nodes)


def kept(test):
    """The same of a node's disk, which it reads when it starts; what is mended is there with the next start."""
    folder = test.path("kept")
    os.mkdir(folder)
    nodes = [Node(test, "64M", "--persist", folder, name="kept-node"), Node(test, "64M", name="beside-it")]
    mount = Mount(test, nodes, "--replicas", "2", "--scrub-rate", "1000", name="kept-mount")
    path, writer = written(test, mount)
    forget(path)
    nodes[0].kill()
    stored.flip_kept(folder, 12, 12)
    nodes[0].start()
    damaged = int(nodes[0].process.says("([0-9]+) chunks in .* are damaged").group(1))
    wait_for("what is damaged is mended", lambda: mount.stats("ram")["copies_mended"] >= damaged)
    wait_for("all copies are there", lambda: not mount.stats("ram")["slots_degraded"])
    settled(mount)
    nodes[0].kill()
    nodes[0].start()
    expect("damaged" not in nodes[0].process.log(), "what was mended is damaged again:\n%s", nodes[0].process.log())
    wait_for("it is there", lambda: not mount.stats("ram")["slots_degraded"] and not mount.stats("ram")["slots_unanswered"])
    first_has_all(nodes, path)
    end(writer, mount, *nodes)


def lone(test, *seal):
    """What has no other copy is counted, and not any more when it has been written."""
    node = Node(test, "64M", name="lone")
    mount = Mount(test, [node], "--scrub-rate", "1000", *seal, name="lone-mount")
    path, writer = written(test, mount)
    stored.flip(node.process.pid, 0.01, 11)
    wait_for("it is told", lambda: mount.stats("ram")["lone_rotten"])
    mount.says("ROTTEN: [0-9]+ of its chunks, chunk [0-9]+ among them, .* no other copy")
    node.process.says("chunks of a region, the first of them [0-9]+, are not what was stored")
    expect(node.stats()["rotten_chunks"], "gvm node tells of no rotten chunk")
    test.write(path, 0, SIZE, 2)
    os.fsync(writer)
    test.log("of what has no other copy it is told")
    wait_for("it is over", lambda: not mount.stats("ram")["lone_rotten"])
    test.check(path, 0, SIZE, 2)
    end(writer, mount, node)


def all_sound(mount, nodes):
    """All that the nodes have of the region was looked at, and nothing of it is rotten."""
    def looked():
        began, found = mount.stats("ram")["scrubs"], [node.stats()["rotten_found"] for node in nodes]
        wait_for("its nodes look at it", lambda: mount.stats("ram")["scrubs"] > began + 1)
        stats = [node.stats() for node in nodes]
        return not any(s["rotten_chunks"] for s in stats) and [s["rotten_found"] for s in stats] == found
    wait_for("nothing is rotten any more", looked, 60)


def here(test, copies, *seal):
    """All copies are rotten, and the memory of the host has all of it, on the fast path: it is written anew."""
    nodes = [Node(test, "64M", name="here-%d" % n) for n in range(copies)]
    mount = Mount(test, nodes, "--replicas", str(copies), "--scrub-rate", "1000", *seal, name="here")
    path = mount.region("ram", SIZE)
    mapper = Mapper(test, path, "auto")
    mapper.do("fill", 0, SIZE, 1)
    with open(path, "rb") as f:
        os.fsync(f.fileno())
    for node in nodes[1:]:
        node.stop()  # until its bits are flipped, too
    for n, node in enumerate(nodes):
        stored.flip(node.process.pid, 1, 13 + n)
    wait_for("what is rotten on all nodes is written anew", lambda: mount.stats("ram")["copies_mended"])
    all_sound(mount, nodes)
    mount.says("ROTTEN: no node has chunk [0-9]+ as it was stored: it is written there anew")
    expect(not mount.stats("ram")["lone_rotten"], "of some of it there is no other copy")
    mapper.do("check", 0, SIZE, 1)
    mapper.end()
    mount.drained("ram")
    all_right(path, 1)
    mount.unmount()
    for node in nodes:
        node.end()


def main(test):
    for seal in [], ["--seal-key-file", key_file(test)]:
        for mode in "fuse", "auto":
            nodes = [Node(test, "64M", name="node-%d" % n) for n in range(2)]
            mount = Mount(test, nodes, "--replicas", "2", "--scrub-rate", "0", *seal, name=mode)
            path, writer = written(test, mount)
            read_and_mended(test, mount, path, nodes, mode)
            stored.flip(nodes[0].process.pid, 1, 9)
            reader(test, nodes, *seal)
            end(writer, mount, *nodes)
        looked_for(test, *seal)
        lone(test, *seal)
        for copies in 1, 2:
            here(test, copies, *seal)
    apart(test)
    kept(test)


if __name__ == "__main__":
    sys.exit(lab.main(main))
