#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions come and go and are rewritten with content of every compressibility until a node's
memory is as ragged as it gets; still every write that was promised room succeeds, incompressible to
the last page."""

import os
import random

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
ROUNDS = 6


def rewrite(path, length, source, kind):
    """Random runs of pages with zeros, short or long encodings; the last round all random."""
    with open(path, "r+b", buffering=0) as f:
        offset = 0
        while offset < length:
            run = min(source.choice((1, 2, 5, 17, 32, 96)) * 4096, length - offset)
            choice = 3 if kind == "random" else source.randrange(4)
            if choice == 0:
                data = bytes(run)
            elif choice == 1:
                data = (source.randbytes(512) * (run // 512))
            elif choice == 2:
                data = (source.randbytes(1500) + bytes(2596)) * (run // 4096)
            else:
                data = source.randbytes(run)
            f.seek(offset)
            f.write(data)
            offset += run if kind == "random" else run * source.randrange(1, 3)
        os.fsync(f.fileno())


def test(l):
    node = Node(l, "96M")
    mount = Mount(l, [node])
    source = random.Random(11)
    regions = []
    for turn in range(ROUNDS):
        while True:
            size = source.choice((3, 7, 12)) * MIB
            path = mount.file("r%d-%d" % (turn, len(regions)))
            try:
                mount.region(os.path.basename(path), size)
            except OSError:
                os.unlink(path)
                break
            regions.append((path, size))
        for path, size in regions:
            rewrite(path, size, source, "mixed")
        source.shuffle(regions)
        for path, _ in regions[:len(regions) // 2]:
            os.unlink(path)
        regions = regions[len(regions) // 2:]
    rest = os.statvfs(mount.path)
    last = rest.f_bavail * rest.f_frsize // MIB * MIB
    expect(last > 16 * MIB, "only %d MiB are free after half was deleted", last >> 20)
    regions.append((mount.region("last", last), last))
    for path, size in regions:
        rewrite(path, size, source, "random")
    stats = node.stats()
    l.log("held %d of %d MiB, stored %d", stats["held_bytes"] >> 20, stats["capacity_bytes"] >> 20,
          stats["stored_bytes"] >> 20)
    expect(mount.stats().get("io_errors", 0) == 0, "there were I/O errors")
    total = sum(size for _, size in regions)
    expect(stats["stored_bytes"] >= total, "not all of it is on the node")


lab.main(test)
