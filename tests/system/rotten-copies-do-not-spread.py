#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A rotten copy is never what is copied, while another node has a good one: not when a node is emptied, nor when the nodes of a host
that is lost are given what its writer left on some of them; nor where these are rotten, each in other pages of a chunk. Where the last copy of a
chunk is rotten, the node that is given copies gets all others. So it is with what is sealed, of which nodes see nothing; and a node that starts again knows what was rotten."""

import os
import sys

import lab
from access import PAGE, content, page
from lab import expect, program, wait_for
from remote import Mount, Node, forget
from sealing import key_file
from startup import kill_whole
import stored

MIB = 1 << 20
CHUNK = 128 << 10
SIZE = 16 * MIB
LARGE = 72 * MIB  # slots have more than one chunk
FEW = 8
OPTIONS = "--scrub-rate", "0", "--no-balance"


def written(test, mount, size):
    """A region, and a descriptor by which the mount stays its writer."""
    path = mount.region("ram", size)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, size, 1)
    forget(path)
    return path, writer


def end(writer, mount, nodes):
    os.close(writer)
    mount.unmount()
    for node in nodes:
        node.end()


def opened(path):
    try:
        return os.open(path, os.O_RDWR)
    except OSError:
        return None


def drained(test, *seal):
    """The first copies of all slots that it shares are rotten, the node that is emptied has the good ones."""
    nodes = [Node(test, "64M", name="drain-%d" % n) for n in range(3)]
    mount = Mount(test, nodes, "--replicas", "2", *OPTIONS, *seal, name="drained")
    path, writer = written(test, mount, SIZE)
    stored.flip(nodes[0].process.pid, 0.05, 8)
    drain = test.start("drain", program("gvm"), "node", "drain", nodes[1].address)
    drain.says("empty", 60)
    drain.succeed(10)
    _, errors = stored.tell(path, content(0, SIZE, 1))
    expect(not errors, "%d pages are lost, though the node that was emptied had them", errors)
    end(writer, mount, nodes)


def last_copies(test, *seal):
    """A node begins anew, and some of what only the other has is rotten."""
    nodes = [Node(test, "160M", name="last-%d" % n) for n in range(2)]
    mount = Mount(test, nodes, "--replicas", "2", *OPTIONS, *seal, name="last")
    _, writer = written(test, mount, LARGE)
    nodes[1].kill()
    wait_for("nothing has two copies", lambda: mount.stats("ram")["slots_degraded"] == 512, 30)
    rotten = stored.flip(nodes[0].process.pid, 0.02, 8)
    nodes[1].start()
    wait_for("all others are copied", lambda: nodes[1].stats()["chunks"] >= LARGE // CHUNK - rotten, 60)
    mount.says("ROTTEN: chunk [0-9]+, perhaps others too, is on no node")
    lacking = mount.stats("ram")["slots_degraded"]
    expect(0 < lacking <= rotten, "%d slots lack a copy, of %d rotten chunks", lacking, rotten)
    end(writer, mount, nodes)


def random_page(chunk, nth):
    """The content of a chunk's nth page, without the first, that does not compress."""
    return page(chunk * (CHUNK // PAGE) // 3 * 3 + 3 + 3 * nth, 1)


def rot(nodes, apart):
    """One of them; or both, each in other pages of a chunk."""
    if apart:
        stored.flip_in({node.process.pid: [random_page(chunk, n) for chunk in range(FEW)] for n, node in enumerate(nodes)})
    else:
        expect(stored.flip(nodes[0].process.pid, 0.5, 8), "nothing rots")


def taken_over(test, *seal, apart=False):
    """A host ends in the middle of writes that two of three nodes have, and what these two have rots."""
    folder = test.path("kept" + "-sealed" * bool(seal) + "-apart" * apart)
    os.mkdir(folder)
    nodes = [Node(test, "64M", *(["--persist", folder] if n == 2 else []), name="lost-%d" % n) for n in range(3)]
    first = Mount(test, nodes, "--replicas", "3", *OPTIONS, "--lease", "2", *seal, name="first")
    path, writer = written(test, first, SIZE)
    os.fsync(writer)
    nodes[2].stop()
    before = [node.stats()["puts"] for node in nodes[:2]]
    for chunk in range(FEW):
        os.pwrite(writer, b"y" * PAGE, chunk * CHUNK)
    # The node is left out half a second after the writes began: this is meant to come before.
    wait_for("two nodes have all", lambda: all(node.stats()["puts"] >= n + FEW for node, n in zip(nodes, before)), pause=0.005)
    kill_whole(first.path)
    first.process.wait(10)
    os.close(writer)
    nodes[2].kill()
    nodes[2].start()
    rot(nodes[:2], apart)
    second = Mount(test, nodes, "--replicas", "3", *OPTIONS, *seal, name="second")
    path = second.file("ram")
    wait_for("it is seen", lambda: os.path.exists(path), 15)
    writer = wait_for("it is opened for writing", lambda: opened(path), 30)
    right, errors = stored.tell(path, b"".join((b"y" * PAGE if at < FEW * CHUNK else content(at, PAGE, 1)) +
                                               content(at + PAGE, CHUNK - PAGE, 1) for at in range(0, SIZE, CHUNK)))
    expect(not errors, "%d pages are lost, %d are right", errors, right)
    if apart:
        second.says("ROTTEN: no node has chunk [0-9]+ as it was stored, but each of its pages is sound on one")
    end(writer, second, nodes)


def restarted(test):
    """What is rotten is so, too, when the node has written it down with a change, and read it again."""
    folder = test.path("restarted")
    os.mkdir(folder)
    node = Node(test, "64M", "--persist", folder, name="restarted")
    mount = Mount(test, [node], "--scrub-rate", "1000", "--seal-key-file", key_file(test), name="over-a-restart")
    path, writer = written(test, mount, SIZE)
    stored.flip(node.process.pid, 0.02, 8)
    wait_for("what is rotten is found", lambda: mount.stats("ram")["lone_rotten"])
    puts = node.stats()["puts"]
    for at in range(0, SIZE, CHUNK):
        os.pwrite(writer, b"x" * PAGE, at)
    wait_for("a page of each chunk is written", lambda: node.stats()["puts"] >= puts + SIZE // CHUNK)
    wait_for("that is no news", lambda: mount.stats("ram")["lone_rotten"])
    node.kill()
    node.start()
    passes = mount.stats("ram")["scrubs"]
    wait_for("all was looked at", lambda: mount.stats("ram")["scrubs"] >= passes + 2)
    _, errors = stored.tell(path, b"".join(b"x" * PAGE + content(at + PAGE, CHUNK - PAGE, 1) for at in range(0, SIZE, CHUNK)))
    expect(errors and mount.stats("ram")["lone_rotten"], "%d pages are errors, of %d rotten chunks", errors,
           mount.stats("ram")["lone_rotten"])
    end(writer, mount, [node])


def main(test):
    for seal in [], ["--seal-key-file", key_file(test)]:
        drained(test, *seal)
        last_copies(test, *seal)
        taken_over(test, *seal)
    taken_over(test, apart=True)
    restarted(test)


if __name__ == "__main__":
    sys.exit(lab.main(main))
