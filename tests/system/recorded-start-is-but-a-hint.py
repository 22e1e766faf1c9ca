#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an earlier start touched comes within the budget, whatever else happens: with a small one, with one that is raised,
while workers are killed; a record that is damaged is ignored, with a message. What is read is right each time."""

import lab
from lab import expect, features, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 64 * MIB
USED = 32 * MIB
CHUNKS = USED // (128 << 10)


def test(l):
    node = Node(l, "96M")
    mount = Mount(l, [node])
    region = mount.region("ram", SIZE)
    l.write(region, 0, SIZE, 1)
    seen = {}

    def gained(name):
        """How much a counter of the region has gained since it was last looked at."""
        now = mount.stats("ram")[name]
        before, seen[name] = seen.get(name, 0), now
        return now - before

    def start(budget=SIZE):
        mount.budget("ram", budget)
        for name in ("replayed", "replay_used", "page_misses"):
            gained(name)
        return Mapper(l, region)

    def end(client):
        client.do("check", 0, SIZE, 1)
        client.end()
        mount.drained("ram")

    def replayed():
        wait_for("what the last start touched is here",
                 lambda: mount.stats("ram")["replayed"] > seen["replayed"] and not mount.stats("ram")["replay_left"])

    # A page of each chunk, in any order.
    client = start()
    client.do("throng", 0, USED)
    expect(not mount.stats("ram")["replayed"], "something is replayed at the first start")
    client.end()
    mount.drained("ram")
    client = start()
    replayed()
    here = mount.stats("ram")["resident_bytes"]
    expect(0 < here < USED, "%d bytes are here, of one page in each chunk", here)
    client.do("throng", 0, USED)
    missed, used = gained("page_misses"), gained("replay_used")
    l.log("%d chunks replayed, %d used, %d faults waited", gained("replayed"), used, missed)
    expect(missed <= CHUNKS // 20 and used >= CHUNKS // 2, "%d faults waited, %d chunks were used, of %d", missed, used,
           CHUNKS)
    end(client)
    # A small budget holds, and is not filled with what may not be needed; there is a record of all of it by now.
    small = 4 * MIB
    client = start(small)
    wait_for("something is replayed", lambda: gained("replayed"))
    client.do("check", SIZE - 8 * MIB, 8 * MIB, 1)
    wait_for("the list is dropped", lambda: not mount.stats("ram")["replay_left"])
    peak = mount.stats("ram")["resident_peak_bytes"]
    expect(peak <= small, "%d bytes were here, of %d", peak, small)
    # What was let go comes back, by itself, when there is room, and no more than that.
    gained("replayed")
    mount.budget("ram", 4 * small)
    wait_for("what was used last comes back", lambda: gained("replayed"))
    wait_for("and is here", lambda: not mount.stats("ram")["replay_left"])
    here = mount.stats("ram")["resident_bytes"]
    expect(small < here <= 4 * small, "%d bytes are here, of %d", here, 4 * small)
    end(client)
    if features.fuse_resend():
        client = start()
        mount.kill_worker()
        end(client)
    for sent in ("what is no record", "tril"):
        l.run(program("record_put"), node.address, "--note", sent)
        client = start()
        wait_for("that is said", lambda: mount.log().count("is damaged on node") > seen.get("damaged", 0))
        seen["damaged"] = mount.log().count("is damaged on node")
        end(client)
        expect(not gained("replayed"), "something is replayed of what is no record")
    expect(mount.log().count("is damaged on node") == 2, "it is said more than once")


lab.main(test)
