#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An unmodified QEMU with the library that gvm run loads before it: the guest, which is reset once
and boots again, runs Redis and its benchmark, fills and checks most of its memory, four times what
may be on this host, and reads a disk by direct I/O meanwhile, while workers are killed."""

import os
import re
import time

import guest
import lab
from lab import expect, features, program
from monitor import Monitor
from remote import Mount, Node

MIB = 1 << 20
RAM = 384
BUDGET = RAM // 4


def disk_make(path):
    with open(path, "wb") as f:
        f.write(os.urandom(2 * MIB))


def reset(run, monitor):
    """Resets the guest, which QEMU's -no-reboot forbids otherwise; gives when it is up again."""
    monitor.do("set-action", reboot="reset")
    monitor.do("system_reset")
    run.says(r"(?s)^guest: up .*guest: up ", 60)  # the reset may come in the middle of a line
    monitor.do("set-action", reboot="shutdown")


def test(l):
    nodes = [Node(l, "320M"), Node(l, "320M")]
    mount = Mount(l, nodes)
    disk_make(l.path("disk"))
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", "uffd",
                  "--mount", mount.path, "--region", "guest", "--",
                  *guest.command("workload", "%dM" % RAM, "-drive",
                                 "file=%s,if=none,id=disk,format=raw,cache=none,aio=native"
                                 % l.path("disk"), "-device", "virtio-blk-pci,drive=disk",
                                 "-qmp", "unix:%s,server=on,wait=off" % l.path("qmp"),
                                 job="disk", percent=85, rounds=1))
    run.says(r"^guest: up", 60)
    expect(re.search(r"^gvm: RAM .*: uffd", run.log(), re.M), "not on the fast path")
    run.says(r"^redis: Redis", 60)
    before = mount.stats("guest")
    reset(run, Monitor(l.path("qmp")))
    after = mount.stats("guest")
    l.log("reset: %d evictions before, %d after", before["evictions"], after["evictions"])
    expect(0 < before["evictions"] < after["evictions"], "nothing had left this host")
    expect(after["fast"], "after the reset it is not on the fast path")
    most = 0
    while run.running():
        most = max(most, mount.stats("guest")["resident_bytes"])
        if features.fuse_resend() and mount.stats()["restarts"] < 3:
            mount.kill_worker()
        time.sleep(1)
    console = guest.verdict(run, 220)
    l.log("%s", "\n".join(line for line in console.splitlines() if "verdict" in line))
    mount.drained("guest")
    stats = mount.stats()
    l.log("at most %d of %d MiB were here; %s", most >> 20, RAM, stats)
    expect(BUDGET * MIB // 2 < most <= BUDGET * MIB, "%d MiB were here, of a budget of %d",
           most >> 20, BUDGET)
    for name in ("evictions", "evictions_clean", "minor_faults", "delta_puts", "prefetch_used"):
        expect(stats[name] > 0, "%s is 0", name)


lab.main(test)
