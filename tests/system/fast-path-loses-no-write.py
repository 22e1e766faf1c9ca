#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads change a region that is mapped through the fast path in every way, four times as large as
its budget, with direct reads whose pages are counted as pinned; nothing is lost, the budget holds,
and another mount finds all of it."""

import lab
from lab import expect
from remote import Mount, Node
from torture import Torture

MIB = 1 << 20
CHUNK = MIB // 8
REGION = 96 * MIB
BUDGET = REGION // 4


def test(l):
    nodes = [Node(l, "128M"), Node(l, "96M")]
    mount = Mount(l, nodes)
    mount.region("ram", REGION)
    mount.budget("ram", BUDGET)
    torture = Torture(l, mount, "ram", "--alone", "--threads", "6", by="torture-fast")
    mount.says(r"maps it through the fast path")
    torture.passes()
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
    torture.is_seen_by_another_mount(nodes)
    for node in nodes:
        expect(node.stats()["bad_frames"] == 0, "a node saw bad frames")


lab.main(test)
