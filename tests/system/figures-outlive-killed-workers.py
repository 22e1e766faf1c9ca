#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a region's counters and the closing line of `gvm run` say of a guest whose gvmfs lost its worker is
all that the guest did, and no more of it than the budget was here; of a gvmfs that was killed as a whole
the line says that its counters are gone, and not that they were zero."""

import os
import re
import signal

import lab
from lab import children, expect
from launcher import Launcher
from remote import Mount, Node

ROUNDS = """
start_is_over()
for i in range(ROUNDS):
    for at in range(0, 60 << 20, 4096):
        memory[at:at + 8] = (at + i).to_bytes(8, 'little')
    print('round', i, flush=True)
    while not os.path.exists(GO):
        time.sleep(0.02)
"""
UNITS = {"bytes": 1 / (1 << 20), "KiB": 1 / 1024, "MiB": 1}


def start(l, mount, mode, rounds):
    go = l.path("go-%s-%d" % (mode, rounds))
    launcher = Launcher(l, mount, mode=mode)
    return launcher.start("ROUNDS, GO = %d, %r\n%s" % (rounds, go, ROUNDS)), go


def here_mib(text):
    said = re.search(r"at most ([\d.]+) (\w+) of the RAM", text)
    expect(said, "no figures: %s", text)
    return float(said.group(1)) * UNITS[said.group(2)]


def worker_killed(l, mode):
    mount = Mount(l, [Node(l, "256M")])
    run, go = start(l, mount, mode, 2)
    run.says("round 0", 60)
    region = os.listdir(mount.path)[0]
    before = mount.stats(region)
    mount.kill_worker()
    open(go, "w").close()
    after = mount.stats(region)
    for name in ("reads", "writes", "faults", "chunks_written", "resident_peak_bytes"):
        expect(after[name] >= before[name], "%s: %d, and %d before the worker was killed", name, after[name],
               before[name])
    expect(run.wait(60) == 0, "status %s: %s", run.popen.returncode, run.log())
    served = mount.stats()  # of the only region
    said = [int(n) for n in re.search(r"(\d+) faults and read-aheads; (\d+) chunks fetched .*?, (\d+) written",
                                      run.log()).groups()]
    l.log("%s: %s, the mount had %s", mode, said, [served[n] for n in ("reads", "faults", "chunks_fetched",
                                                                       "chunks_written")])
    expect(said[0] == served["reads"] + served["faults"] and said[1] == served["chunks_fetched"],
           "%s are said of %s", said, served)
    expect(said[2] >= 60 * 8, "%d chunks written back of %d", said[2], 60 * 8)
    expect(here_mib(run.log()) <= 34, "more than the budget of 32 MiB: %s", run.log())


def all_killed(l, mode):
    mount = Mount(l, [Node(l, "256M")])
    run, go = start(l, mount, mode, 3)
    run.says("round 0", 60)
    for pid in [mount.process.pid, *children(mount.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    open(go, "w").close()
    run.wait(60)
    expect("the gvmfs that counted them has ended" in run.log() and "chunks fetched" not in run.log()
           and "at most 0 bytes" not in run.log(), "%s", run.log())


def test(l):
    for mode in ("fuse", "uffd"):
        worker_killed(l, mode)
        all_killed(l, mode)


lab.main(test)
