#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lost node had is copied to a node in a rack that has no other copy of it, though one beside the other copy has more
room; where no such rack is left, a second copy in a rack is better than none, and a message says so."""

import os
import sys

import lab
from lab import expect, wait_for
from remote import Mount, Node

SIZE = 16 << 20
OPTIONS = "--replicas", "2", "--repair-after", "1", "--timeout", "20"


def whole(mount):
    wait_for("all copies are there again", lambda: not any(mount.stats("file")[what] for what in ("slots_degraded", "slots_unanswered")),
             60)


def main(test):
    memory = {"a1": "100M", "b1": "100M", "b2": "300M", "a2": "100M", "b3": "16M"}
    nodes = {name: Node(test, memory[name], name=name) for name in memory}
    for name in "b2", "a2":
        nodes[name].kill()
    conf = test.path("racks.conf")
    with open(conf, "w", encoding="ascii") as f:
        for i, name in enumerate(nodes):
            f.write("%d %s mem rack-%s\n" % (i, nodes[name].address, name[0]))
    mount = Mount(test, [], "--conf", conf, *OPTIONS)
    path = mount.region("file", SIZE)
    writer = os.open(path, os.O_RDWR)
    test.write(path, 0, SIZE, 1)
    os.fsync(writer)
    for name in "b2", "a2":
        nodes[name].start()
    wait_for("all nodes are up", lambda: mount.stats()["nodes_up"] == 5)
    nodes["a1"].kill()
    mount.says("DEGRADED: of")  # its copies may be made anew by now
    whole(mount)
    expect(not nodes["b2"].stats()["reserved_bytes"], "both copies are in one rack")
    expect("in racks that have one already" not in mount.log(), "a choice is said to be none")
    nodes["a2"].kill()
    mount.says("(?s)DEGRADED: of.* copies again.*DEGRADED: of")
    whole(mount)
    mount.says("in racks that have one already")
    nodes["b1"].kill()
    test.check(path, 0, SIZE, 1)
    os.close(writer)
    nodes["b1"].start()


if __name__ == "__main__":
    sys.exit(lab.main(main))
