#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node holds is listed with what it is, and what has no future can be removed by hand: a part
that a node kept since it was away, a region whose host is gone. A living one cannot."""

import os
import re
import signal

import lab
from lab import children, expect, program, wait_for
from remote import Mount, Node


def listed(l, node):
    out = l.run(program("gvm"), "node", "--regions", node.address)
    return {line.split()[1]: line for line in out.splitlines() if line.startswith("region ")}


def remove(l, node, region):
    return l.start("remove", program("gvm"), "node", "--remove", region[:12], node.address)


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(3)]
    # What a node keeps is looked after for a second, then by nobody.
    mount = Mount(l, nodes, "--timeout", "3", "--unlinked-lease", "1")
    mount.region("gone", 3 << 20)
    with open(mount.file("kept"), "xb") as f:
        f.truncate(3 << 20)
        held = listed(l, nodes[2])
        expect(len(held) == 2, "listed: %s", held)
        kept = next(r for r, line in held.items() if "file: kept" in line)
        expect("in use" in held[kept], "not in use: %s", held[kept])
        process = remove(l, nodes[2], kept)
        expect(process.wait(20) == 1 and "in use" in process.log(), "removed: %s", process.log())
    wait_for("its writer has let go", lambda: "no writer" in listed(l, nodes[2])[kept])
    process = remove(l, nodes[2], kept)
    expect(process.wait(20) == 1 and "file kept" in process.log(), "removed: %s", process.log())

    nodes[2].stop()
    os.unlink(mount.file("gone"))
    wait_for("the others have removed it", lambda: nodes[0].stats()["regions"] == 1, 30)
    mount.says("deleted, but node .* keeps its part")  # it is given up for it
    nodes[2].go_on()
    left = next(r for r in listed(l, nodes[2]) if r != kept)
    wait_for("the node knows that it was removed", lambda: os.path.exists(mount.file("look")) or
             re.search("removed:|no record", listed(l, nodes[2]).get(left, "removed:")), 20, 0.3)
    process = remove(l, nodes[2], left)
    expect(process.wait(20) == 0, "not removed: %s", process.log())
    expect(list(listed(l, nodes[2])) == [kept], "listed: %s", listed(l, nodes[2]))


lab.main(test)
