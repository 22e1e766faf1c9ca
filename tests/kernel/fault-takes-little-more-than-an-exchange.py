#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Says how long remote faults take beside the raw exchange of the same bytes between the same hosts;
holds the ratio of the best medians, or the middle one of their ratios in turn, to what is far from a mistake, since
emulated hosts on a shared machine vary, and one of both may have a best moment by itself. Says how fast pages are touched and read one after the other, beside as many bytes sent
over the same link; holds that to few messages, since a speed would vary more than that."""

import os
import re
import statistics

from cluster import Cluster, Failure, expect, main

RATIO_MAX = 2.5
TURNS = 25  # one after the other, so that both are measured in the machine's best moments, until the ratio
STEADY = 5  # is small after so many in a row: after a single one, the exchange may not have had its best moment yet
ROUNDS = 100
STREAM_MIB = int(os.environ.get("GVM_STREAM_MIB", 8))  # for each of touching and reading
STREAM_TURNS = 3  # at least
STREAM_PAGES_MIN = 4  # for each message sent by who touches and reads: page by page it would be less than one


def median(said, what):
    return float(re.search(re.escape(what) + r": median ([\d.]+) us", said).group(1))


def speed(said, what):
    return float(re.search(re.escape(what) + r": ([\d.]+) MB/s", said).group(1))


def streams(l, cluster):
    """In turns, as above; each with a new region, since a page is touched first only once."""
    link, touched, read, sent = [], [], [], []
    for turn in range(TURNS):
        cluster.everywhere("gvm dsm down --force")
        for node in cluster.nodes:
            cluster.up(node, cluster.roles, cluster.key)
        cluster.join("stream", 2 * STREAM_MIB * 1024)
        raw = cluster.nodes[0].run("exchange 10.9.0.2 0 %d" % STREAM_MIB)
        said = cluster.everywhere("share /dev/gvm/stream {id} 2 stream 0")[0]
        l.log("%s%s", raw, said)
        link.append(speed(raw, "exchange: stream"))
        touched.append(speed(said, "stream: first touch"))
        read.append(speed(said, "stream: read"))
        sent.append(cluster.nodes[0].counter("sent", "stream"))
        l.log("so far first touch has %.2f of the link's speed, reading %.2f; %d messages at least",
              max(touched) / max(link), max(read) / max(link), min(sent))
        if turn + 1 >= STREAM_TURNS and min(sent) * STREAM_PAGES_MIN < STREAM_MIB * 512:
            return
    raise Failure("%d messages at least for %d pages" % (min(sent), STREAM_MIB * 512))


def test(l):
    # No key: how long a cipher takes here is a question to the emulated CPU.
    cluster = Cluster(l, 2, key="", memory="%dM" % (192 + 4 * STREAM_MIB))
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
        in_turn = statistics.median(r / e for r, e in zip(remote, raw))
        ratios.append(min(min(remote) / min(raw), in_turn))
        l.log("so far a remote read takes %.2f x the exchange", ratios[-1])
    ratio = ratios[-1]
    expect(ratio < RATIO_MAX, "a remote read takes %.2f x the exchange", ratio)
    streams(l, cluster)
    cluster.nodes[1].run("killall exchange")
    cluster.close()


main(test)
