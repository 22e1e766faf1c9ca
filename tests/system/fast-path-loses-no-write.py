#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads change a region that is mapped through the fast path in every way, four times as large as
its budget, with direct reads whose pages are counted as pinned; nothing is lost, the budget holds,
and another mount finds all of it."""

import lab
from lab import expect, program
from remote import Mount, Node

MIB = 1 << 20
CHUNK = MIB // 8
REGION = 96 * MIB
BUDGET = REGION // 4


def test(l):
    nodes = [Node(l, "128M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    region = mount.region("ram", REGION)
    mount.budget("ram", BUDGET)
    torture = l.start("torture", program("torture-fast"), "--alone", "--file", region, "--disk",
                      l.path("disk"), "--shadow", l.path("shadow"), "--punch", "--seconds", "12",
                      "--threads", "6")
    mount.says(r"maps it through the fast path")
    l.log(torture.succeed(90).splitlines()[-2])
    mount.drained("ram")
    stats = mount.stats("ram")
    l.log("%s", stats)
    expect(stats["evictions"] > REGION // CHUNK, "only %d chunks were evicted", stats["evictions"])
    expect(stats["evictions_clean"] > 0, "every chunk was sent, changed or not")
    expect(stats["delta_puts"] > 0, "no chunk was sent in part")
    expect(stats["minor_faults"] > 0, "no chunk had a second chance")
    expect(stats["resident_peak_bytes"] <= BUDGET, "%d bytes were here, the budget is %d",
           stats["resident_peak_bytes"], BUDGET)
    expect(stats.get("io_errors", 0) == 0, "there were I/O errors")
    mount.unmount()
    again = Mount(l, nodes)
    l.run(program("torture"), "--file", again.file("ram"), "--shadow", l.path("shadow"),
          "--verify", seconds=60)
    for node in nodes:
        expect(node.stats()["bad_frames"] == 0, "a node saw bad frames")


lab.main(test)
