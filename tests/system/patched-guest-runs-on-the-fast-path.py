#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU with the patches: it takes the fast path by itself, its disks are read by direct I/O, by two
interfaces, straight into memory that is being evicted, and the guest finds every reading alike. Its
balloon frees memory on the nodes."""

import os

import guest
import lab
from lab import expect, program, wait_for
from monitor import Monitor
from remote import Mount, Node

MIB = 1 << 20
CHUNKS = 8  # of a MiB
RAM = 224
BUDGET = RAM // 4


def run(l, mount, region, job, aio, **variables):
    with open(l.path("disk-" + aio), "wb") as f:
        f.write(os.urandom(2 * MIB))
    qmp = l.path("qmp-" + aio)
    command = guest.command(
        "workload", "%dM" % RAM, "-drive", "file=%s,if=none,id=disk,format=raw,cache=none,aio=%s"
        % (l.path("disk-" + aio), aio), "-device", "virtio-blk-pci,drive=disk", "-device",
        "virtio-balloon-pci", "-qmp", "unix:%s,server=on,wait=off" % qmp, job=job, **variables)
    command[0] = guest.patched()
    process = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", "uffd",
                      "--mount", mount.path, "--region", region, "--", *command)
    process.says(r"^guest: up", 60)
    expect("goes through the page cache" not in process.log(), "the library was loaded, too")
    return process, qmp


def test(l):
    node = Node(l, "512M")
    mount = Mount(l, [node])
    first, _ = run(l, mount, "one", "disk", "native", percent=70)
    console = guest.verdict(first, 150)
    l.log("%s", "\n".join(line for line in console.splitlines() if "verdict" in line))
    mount.drained("one")
    stats = mount.stats("one")
    l.log("%s", stats)
    expect(stats["evictions"] > RAM * CHUNKS // 2, "only %d evictions", stats["evictions"])
    expect(stats["resident_peak_bytes"] <= BUDGET * MIB, "%d bytes were here",
           stats["resident_peak_bytes"])
    os.unlink(mount.file("one"))

    second, qmp = run(l, mount, "two", "balloon", "io_uring", percent=70)
    second.says(r"^gvm-fill: verdict pass", 100)
    monitor = Monitor(qmp)
    fd = os.open(mount.file("two"), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    before = node.stats()["stored_bytes"]
    monitor.do("balloon", value=128 * MIB)
    wait_for("the balloon is full",
             lambda: monitor.do("query-balloon")["actual"] <= 132 * MIB, 60)
    wait_for("the node holds less", lambda: node.stats()["stored_bytes"] < before * 7 // 10, 30)
    monitor.do("quit")
    second.wait(20)


lab.main(test)
