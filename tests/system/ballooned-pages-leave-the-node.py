#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest gives back, through its balloon or by reporting what is free, is freed on the nodes and
on the host, in both modes; what it keeps stays as it was, and what it gets back is memory like any."""

import guest
import lab
from lab import expect, program, wait_for
from monitor import Monitor
from remote import Mount, Node

MIB = 1 << 20
RAM = 224
BUDGET = RAM // 3


def started(l, mount, mode, name, device="virtio-balloon-pci", **job):
    """A guest that has filled its memory and let go of it, and its monitor."""
    qmp = l.path("qmp-" + name)
    qemu = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", mode,
                   "--mount", mount.path, "--region", name, "--",
                   *guest.command("fill", "%dM" % RAM, "-device", device,
                                  "-qmp", "unix:%s,server=on,wait=off" % qmp, job="balloon",
                                  percent=75, **job))
    qemu.says(r"^balloon: let go of", 100)
    return qemu, Monitor(qmp)


def ended(l, mount, node, qemu, name):
    guest.verdict(qemu, 100)
    l.run("rm", mount.file(name))
    wait_for("the region is gone", lambda: not node.stats()["stored_bytes"], 20)


def inflates(l, mount, node, mode):
    name = "inflated-" + mode
    qemu, monitor = started(l, mount, mode, name)
    wait_for("the pages left the host", lambda: node.stats()["stored_bytes"] > 30 * MIB, 30)
    l.run("sync", mount.file(name))
    before, host = node.stats()["stored_bytes"], mount.stats(name)["resident_bytes"]
    monitor.do("balloon", value=96 * MIB)
    qemu.says(r"^balloon: taken", 60)
    wait_for("the node holds less", lambda: node.stats()["stored_bytes"] < before * 6 // 10, 30)
    l.log("%s: stored %d MiB before, %d after", mode, before >> 20,
          node.stats()["stored_bytes"] >> 20)
    expect(mount.stats(name)["punched_pages"] > 60 * MIB // 4096, "%s", mount.stats(name))
    if mode == "uffd":
        expect(mount.stats(name)["resident_bytes"] < host, "the host has %d bytes of it, as before",
               host)
    monitor.do("balloon", value=RAM * MIB)
    ended(l, mount, node, qemu, name)


def reports(l, mount, node, mode):
    name = "reported-" + mode
    qemu, monitor = started(l, mount, mode, name, "virtio-balloon-pci,free-page-reporting=on", below=90)
    wait_for("the free pages are reported",
             lambda: mount.stats(name)["punched_pages"] > 60 * MIB // 4096, 60)
    # What was written takes 50 MiB or so of it, the rest of the guest 40: it reports whole blocks of 2 MiB only.
    wait_for("the node holds little", lambda: node.stats()["stored_bytes"] < 52 * MIB, 30)
    monitor.do("balloon", value=RAM * 3 // 4 * MIB)
    qemu.says(r"^balloon: taken", 60)
    monitor.do("balloon", value=RAM * MIB)
    ended(l, mount, node, qemu, name)


def test(l):
    node = Node(l, "320M")
    mount = Mount(l, [node])
    for mode in ("fuse", "uffd"):
        inflates(l, mount, node, mode)
        reports(l, mount, node, mode)


lab.main(test)
