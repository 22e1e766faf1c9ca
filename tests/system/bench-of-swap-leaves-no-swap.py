#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`gvm bench swap` measures loads, and programs as they are installed, on a region beside zram and a swap file; when it is
done, stopped half-way or killed, the machine has neither of these any more."""

import glob
import json
import os
import shutil
import signal

import lab
from lab import descendants, expect, program, wait_for

LOADS = ("zipf", "seq", "sparse", "graph")
PROGRAMS = {"sort": "sort", "sqlite": "sqlite3", "redis": "redis-server"}
OURS = ("uffd", "fuse")


def swaps(folder):
    with open("/proc/swaps") as f:
        return [line.split()[0] for line in f if line.startswith(folder)]


def zrams():
    return set(glob.glob("/sys/block/zram*"))


def check(cells):
    found = {(cell["load"], cell["resident"], cell["by"]): cell for cell in cells}
    for load in LOADS:
        expect((load, 100, "local") in found, "%s: no local memory", load)
        for resident in (100, 50, 25):
            for by in OURS:
                cell = found[load, resident, by]
                expect(cell["us"] > 0, "%s", cell)
                # (Of a set that is all here nothing is missed once it has been touched.)
                expect(resident == 100 or cell["misses"] > 0 or load == "seq", "%s", cell)
                expect(resident == 100 or cell["fetched"] > 0, "%s", cell)
    for name, needs in PROGRAMS.items():
        cells = {by: cell["s"] for (row, resident, by), cell in found.items() if row == name and resident < 100}
        expect(not shutil.which(needs) or all(cells[by] > 0 for by in OURS), "%s: %s", name, cells)
    if os.path.exists("/sys/class/zram-control"):
        expect(any(by == "zram" for _, _, by in found), "zram was not measured")
    expect(any(by == "swapfile" for _, _, by in found), "a swap file was not measured")


def nothing_left(l, before):
    wait_for("nothing of it runs", lambda: not descendants(), 30)
    wait_for("its swap is gone", lambda: not swaps(l.folder) and zrams() <= before, 30)
    expect(not glob.glob(l.path("gvm-bench.*")), "%s", os.listdir(l.folder))


def test(l):
    where = {"TMPDIR": l.folder}
    before = zrams()
    run = l.start("bench", program("gvm"), "bench", "swap", "--quick", "--programs", "--json", l.path("result"), env=where)
    run.succeed(240)
    with open(l.path("result")) as f:
        check(json.load(f)["swap"])
    nothing_left(l, before)

    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 1)):
        run = l.start("bench", program("gvm"), "bench", "swap", "--quick", env=where)
        wait_for("it uses swap", lambda: swaps(l.folder), 120)
        run.signal(number)
        expect(run.wait(60) == status, "status %s", run.popen.returncode)
        nothing_left(l, before)


lab.main(test)
