#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A read that waits for a node which does not answer ends with an error when its region fails: what was
written to another node cannot be kept, and no later answer makes the region's content right again."""

import lab
from lab import expect, wait_for
from remote import Mount, Node, two_regions

MIB = 1 << 20
CHUNK = 128 << 10
SIZE = 2 * MIB


def fails(l, mount, shared, near):
    reads = [l.access("check", shared, offset, CHUNK, 2) for offset in range(0, SIZE, CHUNK)]
    wait_for("a read of the near node's chunks ends", lambda: not all(r.running() for r in reads))
    ended = next(number for number, read in enumerate(reads) if not read.running())
    near.restart_empty()
    # What is written to the near node from now on is refused for good, and the region fails.
    write = l.access("write", shared, ended * CHUNK, CHUNK, 3)
    mount.says("FAILED", 30)
    for read in reads:
        read.wait(30)
    said = {read.log().strip() for read in reads}
    expect(said <= {"done", "error EIO"} and "error EIO" in said, "the reads end with %s", sorted(said))
    expect(write.wait(30) != 0, "what was written to a region that failed is said to be safe")


def test(l):
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount, _, shared = two_regions(l, near, far, SIZE)
    l.access("map-later", shared, 0, SIZE, 2).says("^mapped")  # keeps it open
    far.stop()
    try:
        fails(l, mount, shared, near)
    finally:
        far.go_on()
    process = l.access("check", shared, 0, CHUNK, 2)
    process.wait(30)
    expect(process.log().strip() == "error EIO", "a failed region reads as %s", process.log().strip())


lab.main(test)
