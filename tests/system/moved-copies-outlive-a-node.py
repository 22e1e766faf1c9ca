#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""While a copy moves from a node that is drained, there are as many copies as before at any time, two or three: as many others may
die at any moment of it as may at other times, and no page is lost, nothing stands still, and the drain comes to its end."""

import os
import random
import re
import sys
import time

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 24 * MIB
MOVED = "on another node now"


def short_of_a_copy(mount, moved):
    """The moment at which a move that lets go of a copy before it has another is found out."""
    wait_for("slots lack a copy, or have moved",
             lambda: mount.stats("moves")["slots_degraded"] > 32 or mount.log().count(MOVED) > moved, 30, pause=0.001)


def any_time(mount, _):
    wait_for("nearly all is copied", lambda: mount.stats("moves")["drain_chunks"] < 16, 30, pause=0.001)
    time.sleep(random.random() / 2)


def fails(mount):
    """How often a node was too slow: what is there once after that may go with another."""
    return sum(mount.log().count(words) for words in (" fails: ", " lost", "does not answer"))


def targets(mount):
    return re.findall(r"copies move to node (\S+)", mount.log())


def a_move(test, mount, nodes, copies, moment):
    """False: it proves nothing."""
    source = nodes[0]
    mapper = Mapper(test, mount.file("moves"))
    mount.budget("moves", SIZE // 4)
    mapper.do("fill", 0, SIZE, 3)
    mapper.ask("churn", SIZE // 2, SIZE // 2, 4)
    failed, moved, begun = fails(mount), mount.log().count(MOVED), len(targets(mount))
    drained = test.start("drain", program("gvm"), "node", "drain", source.address)
    wait_for("it moves", lambda: mount.stats("moves")["drain_chunks"], 30, pause=0.01)
    target = wait_for("it says where to", lambda: targets(mount)[begun:], 30, pause=0.001)[0]
    victims = random.sample([node for node in nodes[1:] if node.address != target], copies - 1)
    moment(mount, moved)
    sound = fails(mount) == failed
    for victim in victims if sound else ():
        victim.kill()
    mapper.answer(60)
    mapper.do("check", 0, SIZE // 2, 3, seconds=60)
    for victim in victims if sound else ():
        victim.start()
    drained.says("empty", 120)
    drained.succeed(10)
    wait_for("each chunk has its copies", lambda: not mount.stats("moves")["slots_degraded"], 60)
    mapper.do("check", 0, SIZE // 2, 3, seconds=60)
    mapper.end()
    mount.drained("moves")
    test.run(program("gvm"), "node", "undrain", source.address)
    nodes.append(nodes.pop(0))
    return sound


def main(test):
    nodes = [Node(test, "120M", name="node%d" % i) for i in range(5)]
    for copies, moments in (2, (any_time,)), (3, (short_of_a_copy, any_time)):
        mount = Mount(test, nodes, "--replicas", str(copies), "--repair-after", "5", "--repair-rate", "20", "--no-balance")
        mount.region("moves", SIZE)
        for moment in moments:
            expect(any(a_move(test, mount, nodes, copies, moment) for _ in range(4)), "the nodes are too slow for this")
        os.unlink(mount.file("moves"))
        mount.end()


if __name__ == "__main__":
    sys.exit(lab.main(main))
