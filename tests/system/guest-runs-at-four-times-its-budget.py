#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An unmodified QEMU command line behind `gvm run` with a quarter of the guest's RAM on the host:
the guest fills and checks most of its memory, dirtying it as fast as it can, and the host never
holds more of it than the budget. Before that, booted and with Redis at work, its memory takes on
the nodes at most half of its non-zero bytes, and at most 5 % of that is lost to the allocator."""

import errno
import os
import threading

import guest
import lab
from lab import expect, program, wait_for
from monitor import Monitor
from remote import Mount, Node
from residency import resident_bytes

MIB = 1 << 20
RAM = 384
BUDGET = RAM // 4


class Watch(lab.Thread):
    """How much of the region's file the page cache holds at the most."""

    def __init__(self, path):
        super().__init__(self.look)
        self.path, self.most, self.looks, self.done = path, 0, 0, threading.Event()

    def look(self):
        while not self.done.wait(0.1):
            try:
                self.most = max(self.most, resident_bytes(self.path))
            except OSError as why:
                if why.errno != errno.ENODEV:  # which it is when QEMU has gone: nothing is cached
                    raise
                return
            self.looks += 1


def expect_little_space(l, nodes, path):
    """That it is what the nodes hold a guest in, which stands still meanwhile."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

    def figures():
        each = [node.stats() for node in nodes]
        return [sum(stats[name] for stats in each) for name in ("held_bytes", "stored_bytes", "nonzero_bytes")]

    # What came raw is compressed while nobody asks for anything.
    wait_for("the nodes hold little", lambda: figures()[0] * 2 <= figures()[2], 60, 0.5)
    held, stored, nonzero = figures()
    l.log("the nodes hold %d KiB, in which %d KiB are stored, for %d KiB that are not zero: %.3f, "
          "overhead %.1f %%", held >> 10, stored >> 10, nonzero >> 10, held / nonzero,
          100 * held / stored - 100)
    expect(nonzero > 32 * MIB, "only %d bytes of the guest are not zero", nonzero)
    expect(held <= stored * 1.05, "%d bytes are stored, the allocator has given %d", stored, held)


def test(l):
    nodes = [Node(l, "320M"), Node(l, "320M")]
    mount = Mount(l, nodes)
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", "fuse", "--mount",
                  mount.path, "--region", "guest", "--",
                  *guest.command("workload", "%dM" % RAM, "-qmp",
                                 "unix:%s,server=on,wait=off" % l.path("qmp"), job="workload",
                                 percent=85, rounds=2))
    run.says(r"^guest: up", 60)
    watch = Watch(mount.file("guest"))
    watch.start()
    run.says(r"^redis: \d+ keys", 100)
    monitor = Monitor(l.path("qmp"))
    monitor.do("stop")
    expect_little_space(l, nodes, mount.file("guest"))
    monitor.do("cont")
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
    expect(stats["write_bytes"] > (RAM - BUDGET) * MIB, "the guest's memory did not leave the host")


lab.main(test)
