#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An unmodified QEMU command line behind `gvm run` with a quarter of the guest's RAM on the host:
the guest fills and checks most of its memory, dirtying it as fast as it can, and the host never
holds more of it than the budget."""

import threading

import guest
import lab
from lab import expect, program
from remote import Mount, Node
from residency import resident_bytes

MIB = 1 << 20
RAM = 384
BUDGET = RAM // 4


class Watch(threading.Thread):
    """How much of the region's file the page cache holds at the most."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.most, self.looks, self.done = path, 0, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.1):
            self.most = max(self.most, resident_bytes(self.path))
            self.looks += 1


def test(l):
    nodes = [Node(l, "320M"), Node(l, "320M")]
    mount = Mount(l, nodes)
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", "fuse", "--mount",
                  mount.path, "--region", "guest", "--",
                  *guest.command("workload", "%dM" % RAM, job="workload", percent=85, rounds=2))
    run.says(r"^guest: up", 60)
    watch = Watch(mount.file("guest"))
    watch.start()
    console = guest.verdict(run, 220)
    watch.done.set()
    watch.join()
    l.log("%s", "\n".join(line for line in console.splitlines() if "verdict" in line))
    stats = mount.stats()
    l.log("resident at most %d MiB of %d; %s", watch.most >> 20, RAM, stats)
    expect(watch.looks > 10 and watch.most > BUDGET * MIB // 2,
           "seen %d times, at most %d MiB were resident", watch.looks, watch.most >> 20)
    expect(watch.most <= (BUDGET + 8) * MIB, "%d MiB were resident, the budget is %d",
           watch.most >> 20, BUDGET)
    for name in ("chunks_fetched", "chunks_written", "zero_pages_written"):
        expect(stats[name] > 0, "%s is 0", name)
    expect(stats["put_bytes"] < stats["put_raw_bytes"] * 3 // 4, "what is written is not compressed")
    expect(stats["write_bytes"] > (RAM - BUDGET) * MIB, "the guest's memory did not leave the host")


lab.main(test)
