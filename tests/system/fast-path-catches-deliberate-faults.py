#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The test of the fast path's test: gvmfs built with one deliberate fault after another
(gvmfs/mutant.h) does not get through the torture that the real one passes, or, where that needs more
than luck, through what was thought out for it."""

import os
import subprocess

import lab
from lab import expect, program, wait_for
from remote import Mount, Node
from stray import cleared_page, stray_page
from torture import counts, expect_every_form

MIB = 1 << 20
REGION = 32 * MIB
TRIES = 40  # some faults need luck to show, and most of it on a slow machine


class SlowDisk:
    """A file whose direct reads take their time, with the buffer's pages pinned: nbdkit behind FUSE."""

    def __init__(self, l):
        self.folder = l.path("slow")
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "nbd")
        self.process = l.start("nbdfuse", "nbdfuse", self.folder, "--command", "nbdkit", "-s",
                               "--filter=delay", "memory", "1M", "delay-read=10ms")
        wait_for("the slow disk", lambda: os.path.ismount(self.folder))

    def end(self):
        subprocess.run(["umount", self.folder], check=True)
        self.process.wait(20)


def passes(l, nodes, mutant, name, disk):
    """Whether the torture, which has every form of access but punches, sees nothing wrong."""
    mount = Mount(l, nodes, mutant=mutant)
    region = mount.region(name, REGION)
    mount.budget(name, REGION // 8)
    torture = l.start("torture", program("torture-fast"), "--alone", "--file", region, "--disk",
                      disk.path, "--seconds", "2", "--threads", "6")
    status = torture.wait(60)
    text = torture.log()
    mount.drained(name)
    os.unlink(region)  # the node has no room for those of all tries
    mount.unmount()
    expect("fast path" not in text.lower() or status, "%s: no fast path: %s", mutant, text)
    l.log("%s: status %d, %s", mutant, status, (text.strip().splitlines() or [""])[-1])
    if status:
        return False
    done, = counts(text)
    expect_every_form(done, without=["punches", "syncs"])
    return True


def test(l):
    nodes = [Node(l, "512M")]
    disk = SlowDisk(l)
    try:
        expect(passes(l, nodes, "none", "sound", disk), "without a fault the torture fails")
        for mutant in ("no-zap", "no-hash", "early-pin", "stale-epoch"):
            expect(not all(passes(l, nodes, mutant, "%s-%d" % (mutant, i), disk)
                           for i in range(TRIES)), "the torture does not notice the fault %s",
                   mutant)
        expect(any(cleared_page(l, "sent-unlearnt")), "nothing notices the fault sent-unlearnt")
        expect(any(stray_page(l, "stray-sent")), "nothing notices the fault stray-sent")
    finally:
        disk.end()


lab.main(test)
