#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that comes back without its memory is a declared loss: an I/O error and a loud line for
what it held, never zeros and never old data. What another node holds stays right, and so do the
nodes for new regions."""

import signal

import lab
from lab import expect
from remote import Mount, Node, two_regions

MIB = 1 << 20
CHUNK = 128 << 10


def outcomes(l, path, length, seed):
    """How each chunk of the file reads now."""
    return [l.access("check", path, offset, CHUNK, seed) for offset in range(0, length, CHUNK)]


def test(l):
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount, own, shared = two_regions(l, near, far, 4 * MIB)
    mapped = l.access("map-later", shared, 0, 4 * MIB, 2)
    mapped.says("^mapped")
    far.restart_empty()
    said = []
    for process in outcomes(l, shared, 4 * MIB, 2):
        process.wait(30)
        said.append(process.log().strip())
    expect(set(said) <= {"done", "error EIO"}, "a chunk reads as %s", sorted(set(said)))
    expect("error EIO" in said, "nothing was lost though a node was emptied")
    mount.says(r"(?i)lost|loss|gone", 5)
    mapped.signal(signal.SIGUSR1)
    expect(mapped.wait(30) == -signal.SIGBUS, "a load from the mapped file did not end in SIGBUS: %s",
           mapped.log())
    l.check(own, 0, 4 * MIB, 1)
    # The same after a remount: the loss does not become zeros.
    mount.unmount()
    again = Mount(l, [near, far])
    said = []
    for process in outcomes(l, again.file("shared"), 4 * MIB, 2):
        process.wait(30)
        said.append(process.log().strip())
    expect(set(said) <= {"done", "error EIO"} and "error EIO" in said,
           "after a remount a chunk reads as %s", sorted(set(said)))
    l.check(again.file("own"), 0, 4 * MIB, 1)
    fresh = again.region("fresh", 8 * MIB)
    l.write(fresh, 0, 8 * MIB, 5)
    l.check(fresh, 0, 8 * MIB, 5)


lab.main(test)
