#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""While the client of the fast path does nothing, gvmfs and the client's own end of it use less
than 1 % of a CPU; and beside what is here of the region, gvmfs takes at most 64 MiB, 0.1 % of the
region's size and 0.5 % of what is here."""

import os
import re
import time

import lab
from lab import descendants, expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 1024 * MIB
FILLED = 160 * MIB
BUDGET = 128 * MIB
SECONDS = 4
MEMORY = "/memfd:gvmfs-memory"  # is the client's, whoever maps it


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def own_bytes(pid):
    """What is resident of a process, without the region's memory."""
    with open("/proc/%d/smaps" % pid) as f:
        mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", f.read(), flags=re.M)
    return sum(int(re.search(r"^Rss: +(\d+) kB", text, re.M).group(1)) << 10
               for text in mappings if text and MEMORY not in text.partition("\n")[0])


def settled(mount):
    """Whether it has nothing left to do: no more is here than may be, and all that is counted stays as it is."""
    before = mount.stats("ram")
    time.sleep(0.3)
    return before["resident_bytes"] <= BUDGET and mount.stats("ram") == before


def used_seconds(processes):
    before = cpu_seconds(processes)
    time.sleep(SECONDS)
    return cpu_seconds(processes) - before


def test(l):
    node = Node(l, "1200M")
    mount = Mount(l, [node])
    region = mount.region("ram", SIZE)
    mount.budget("ram", BUDGET)
    client = Mapper(l, region)
    client.do("fill", 0, FILLED, 1, seconds=60)
    wait_for("it is settled", lambda: settled(mount))
    resident = mount.stats("ram")["resident_bytes"]
    expect(BUDGET * 3 // 4 < resident <= BUDGET, "%d bytes are here", resident)

    processes = [mount.process.pid, *descendants(mount.process.pid)]
    expect(len(processes) > 1, "gvmfs has no worker")
    # A worker that had no CPU for a moment looks settled, too.
    used = lab.best(lambda: used_seconds([*processes, client.process.pid]), lambda used: used < SECONDS / 100)
    own = sum(map(own_bytes, processes))
    limit = 64 * MIB + SIZE // 1000 + resident // 200
    l.log("%.3f %% of a CPU; %.1f MiB of at most %.1f, with %d MiB here", 100 * used / SECONDS,
          own / MIB, limit / MIB, resident // MIB)
    expect(used < SECONDS / 100, "%g s of %d were used", used, SECONDS)
    expect(own <= limit, "gvmfs takes %d bytes, %d would be well", own, limit)
    client.do("check", 0, FILLED, 1, seconds=60)
    client.end()
    mount.drained("ram")


lab.main(test)
