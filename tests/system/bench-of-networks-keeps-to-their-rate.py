#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`gvm bench networks` measures a mount over emulated links: nothing is quicker there than the link's rate and delay
allow, compressed bytes apart; and when it is done or killed nothing of it is left, whose namespaces go with it."""

import glob
import json
import os
import shutil
import signal

import lab
from lab import descendants, expect, program, wait_for

ALL = ("fault", "fault_p99", "seq_read", "write")
FAST = ("auto", "always", "never")
# What lz4 makes of the benchmark's data is less than a half, but a third it is not.
COMPRESSED = 3.2


def check(cells):
    found = {(cell["gbit_s"], cell["delay_us"], cell["measure"], cell["by"]): cell["value"] for cell in cells}
    networks = {key[:2] for key in found}
    expect(len(networks) == 2, "%s", networks)
    for gbit, delay in networks:
        def value(measure, by):
            return found[gbit, delay, measure, by]
        others = ("fuse", "nbdfuse") if shutil.which("nbdfuse") else ("fuse",)
        for by in FAST + others:
            for measure in ALL:
                expect(value(measure, by) > 0, "%s of %s", measure, by)
            # There and back.
            expect(value("fault", by) >= 2 * delay, "%d us: a fault of %s in %s us", delay, by, value("fault", by))
        for by in FAST:
            expect(value("zipf", by) > 0 and value("fetched", by) > 0, "zipf of %s", by)
        expect(value("fault", "raw") >= 2 * delay, "%d us: an exchange in %s us", delay, value("fault", "raw"))
        link = gbit * 125
        for by, measure, most in (("raw", "seq_read", 1), ("raw", "write", 1), ("never", "write", 1),
                                  ("always", "write", COMPRESSED), ("auto", "seq_read", COMPRESSED)):
            expect(value(measure, by) <= link * most, "%d Gbit/s: %s of %s is %s MB/s", gbit, measure, by, value(measure, by))


def nothing_left(l):
    wait_for("nothing of it runs", lambda: not descendants(), 30)
    with open("/proc/self/mounts") as f:
        mounts = [line for line in f if line.split()[1].startswith(l.folder)]
    expect(not mounts and not glob.glob(l.path("gvm-bench.*")), "%s %s", mounts, os.listdir(l.folder))


def test(l):
    where = {"TMPDIR": l.folder}
    run = l.start("bench", program("gvm"), "bench", "networks", "--quick", "--json", l.path("result"), env=where)
    run.succeed(120)
    with open(l.path("result")) as f:
        check(json.load(f)["networks"])
    nothing_left(l)

    run = l.start("bench", program("gvm"), "bench", "networks", "--quick", env=where)
    wait_for("it has mounted", lambda: glob.glob(l.path("gvm-bench.*/gvmfs")), 60)
    run.signal(signal.SIGKILL)
    expect(run.wait(60) == -signal.SIGKILL, "status %s", run.popen.returncode)
    nothing_left(l)


lab.main(test)
