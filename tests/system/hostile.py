#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No test: measures what a local user without rights costs the guests of others. Run by hand, as root, on a
machine that does nothing else:

    GVM_BUILD=build tests/system/hostile.py [ROUNDS]

An honest guest of the fast path touches pages at random below its budget, while it is quiet, and with each of
the strangers' means at work (stranger.py), in turns. For each means: the median, over all rounds, of its p50 and
p99 against those of the quiet turn just before. The worker is killed under each means as well: the guest has to go on.
"""

import os
import statistics
import sys

import lab
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import USER, Stranger

MIB = 1 << 20
SIZE = 32 * MIB
TOUCHES = 4000
MEANS = {"queued": 1, "hello": 32, "beside": 20, "nonsense": 200, "asks": 200, "silent": 400}


def measured(guest):
    guest.ask("latency", 0, SIZE, TOUCHES)
    guest.answer(120)
    return [int(n) for n in guest.process.log().rsplit("latency ", 1)[1].split()[:2]]


def test(l):
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    open_device(l)
    mount = Mount(l, [Node(l, "256M")])
    region = mount.region("ram", SIZE)
    guest = Mapper(l, region)
    guest.do("fill", 0, SIZE, 1, seconds=60)
    mount.budget("ram", SIZE // 4)
    measured(guest)
    found = {means: [] for means in MEANS}
    for _ in range(rounds):
        for means, count in MEANS.items():
            quiet = measured(guest)
            stranger = Stranger(l, region, means, count, USER)
            hostile = measured(guest)
            mount.kill_worker()
            guest.do("check", 0, 2 * MIB, 1, seconds=30)
            stranger.end()
            found[means].append((*quiet, *hostile))
    for means, all_rounds in found.items():
        p50, p99, hostile50, hostile99 = (statistics.median(column) for column in zip(*all_rounds))
        ratios = [r[3] / max(r[1], 1) for r in all_rounds]
        print("%-8s p50 %d -> %d us, p99 %d -> %d us: %.2f times (rounds: %s)" %
              (means, p50, hostile50, p99, hostile99, statistics.median(ratios),
               " ".join("%.2f" % ratio for ratio in ratios)))
    guest.end()


lab.main(test)
