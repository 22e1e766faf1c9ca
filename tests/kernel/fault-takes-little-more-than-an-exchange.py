#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Says how long remote faults take beside the raw exchange of the same bytes between the same hosts;
holds the ratio of the best medians to what is far from a mistake, since emulated hosts on a shared
machine vary."""

import re

from cluster import Cluster, expect, main

RATIO_MAX = 2.5
TURNS = 25  # one after the other, so that both are measured in the machine's best moments, until the ratio
STEADY = 5  # is small after so many in a row: after a single one, the exchange may not have had its best moment yet
ROUNDS = 100


def median(said, what):
    return float(re.search(re.escape(what) + r": median ([\d.]+) us", said).group(1))


def test(l):
    # No key: how long a cipher takes here is a question to the emulated CPU.
    cluster = Cluster(l, 2, key="")
    cluster.join("ram", 2048)
    cluster.nodes[1].run("exchange serve &")
    cluster.nodes[1].shell.until("netstat -tln | grep :7000")
    raw, remote, ratios = [], [], []
    while len(ratios) < TURNS and not (len(ratios) >= STEADY and max(ratios[-STEADY:]) < RATIO_MAX):
        exchange = cluster.nodes[0].run("exchange 10.9.0.2 %d" % ROUNDS)
        said = cluster.everywhere("share /dev/gvm/ram {id} 2 latency %d" % ROUNDS)[0]
        l.log("%s%s", exchange, said)
        raw.append(median(exchange, "exchange"))
        remote.append(median(said, "remote read"))
        ratios.append(min(remote) / min(raw))
        l.log("so far a remote read takes %.2f x the exchange", ratios[-1])
    ratio = ratios[-1]
    expect(ratio < RATIO_MAX, "a remote read takes %.2f x the exchange", ratio)
    cluster.nodes[1].run("killall exchange")
    cluster.close()


main(test)
