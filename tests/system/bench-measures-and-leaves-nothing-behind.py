#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`gvm bench` writes every measure with its peers, ratios are ours over theirs, and when it is done
or stopped half-way no process, mount, cgroup or folder of it is left; nor when it is killed, but
for the cgroup, which the next run removes. Its programs are found beside it, and in a build tree that
is named; another build's are measured beside them."""

import glob
import json
import os
import shutil
import signal

import lab
from lab import descendants, expect, program, wait_for

MEASURES = {
    ("fault_random", "fuse"): ("us", ["nbdfuse", "tls", "before"]),
    ("fault_random_p99", "fuse"): ("us", ["nbdfuse", "tls", "before"]),
    ("seq_read", "fuse"): ("MB/s", ["nbdfuse", "tls", "before"]),
    ("write_msync", "fuse"): ("MB/s", ["nbdfuse", "tls", "before", "no_network"]),
    ("retouch", "fuse"): ("touches/s", ["nbdfuse", "tls", "before"]),
    ("fault_random", "uffd"): ("us", ["nbdfuse", "tls", "before", "parts"]),
    ("fault_random_p99", "uffd"): ("us", ["nbdfuse", "tls", "before"]),
    ("seq_read", "uffd"): ("MB/s", ["nbdfuse", "tls", "before"]),
    ("write_msync", "uffd"): ("MB/s", ["nbdfuse", "tls", "before"]),
    ("retouch", "uffd"): ("touches/s", ["nbdfuse", "tls", "before"]),
    ("fault_second_chance", "uffd"): ("us", ["uffd_continue"]),
    ("two_guests", "uffd"): ("faults/s", ["one_guest"]),
    ("four_threads", "uffd"): ("faults/s", ["one_thread"]),
    ("fault_writeback_p99", "uffd"): ("us", ["before", "before_quiet", "quiet"]),
    ("fault_write_200_p99", "uffd"): ("us", ["before", "before_quiet", "quiet"]),
    ("zipf", "uffd"): ("us", ["local"]),
    ("zipf_misses", "uffd"): ("%", ["optimum"]),
    ("seq_half", "uffd"): ("us", ["local"]),
    ("node_get", ""): ("MB/s", ["tls", "before", "persist", "memcached", "redis", "raw_tcp"]),
    ("node_put", ""): ("MB/s", ["tls", "before", "persist", "memcached", "redis", "raw_tcp"]),
}
NEEDS = {"nbdfuse": "nbdfuse", "memcached": "memcached", "redis": "redis-server"}


def mounts_below(folder):
    with open("/proc/self/mounts") as f:
        return [line.split()[1] for line in f if line.split()[1].startswith(folder)]


def nothing_left(l, run):
    wait_for("nothing of it runs", lambda: not descendants(), 10)
    expect(not mounts_below(l.folder), "mounts %s", mounts_below(l.folder))
    expect(not glob.glob(l.path("gvm-bench.*")), "%s", os.listdir(l.folder))


def no_group_left(run):
    with open("/proc/self/mountinfo") as f:
        tops = [line.split()[4] for line in f if " - cgroup" in line]
    left = [path for top in tops for depth in range(6)
            for path in glob.glob(top + "/*" * depth + "/gvm-bench.%d" % run.pid)]
    expect(not left, "groups %s", left)


def check(result):
    expect("missing" not in result, "%s", result)
    found = {(measure["name"], measure["front"]): measure for measure in result["measures"]}
    expect(list(found) == list(MEASURES), "measures %s", list(found))
    for name, (unit, peers) in MEASURES.items():
        measure = found[name]
        expect(measure["unit"] == unit, "%s", measure)
        expect(measure["value"] > 0, "%s", measure)
        wanted = [peer for peer in peers if peer not in NEEDS or shutil.which(NEEDS[peer])]
        expect(list(measure["peers"]) == wanted, "%s: peers %s, not %s", name,
               list(measure["peers"]), wanted)
        for peer in measure["peers"].values():
            ratio = measure["value"] / peer["value"]
            expect(abs(peer["ratio"] - ratio) < 0.001 + ratio / 1000, "%s", measure)
    for front in ("fuse", "uffd"):
        expect(found["fault_random", front]["value"] <= found["fault_random_p99", front]["value"],
               "%s: the median is above the 99th percentile", front)


def test(l):
    where = {"TMPDIR": l.folder}
    run = l.start("bench", program("gvm"), "bench", "--quick", "--rounds", "1", "--tls",
                  "--persist", "--before", lab.BUILD, "--json", l.path("result"), env=where)
    run.succeed(90)
    with open(l.path("result")) as f:
        check(json.load(f))
    nothing_left(l, run)
    no_group_left(run)

    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 1)):
        run = l.start("bench", program("gvm"), "bench", "--quick", "--tls", "--persist", "--busy=1",
                      "--bindir", lab.BUILD, env=where)
        wait_for("it mounts", lambda: mounts_below(l.folder), 30)
        run.signal(number)
        expect(run.wait(30) == status, "status %s", run.popen.returncode)
        nothing_left(l, run)
    no_group_left(run)


lab.main(test)
