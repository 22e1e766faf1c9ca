#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that serves a guest's RAM is killed time and again while the guest, within a quarter
of its RAM on the host, fills and checks it; the guest finds every byte."""

import time

import guest
import lab
from lab import expect, features, program, skip
from remote import Mount, Node

RAM, LOCAL = 192, 48


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    nodes = [Node(l, "160M"), Node(l, "160M")]
    mount = Mount(l, nodes)
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % LOCAL, "--mode", "fuse", "--mount",
                  mount.path, "--",
                  *guest.command("fill", "%dM" % RAM, job="fill", percent=85, rounds=2))
    run.says(r"^gvm-fill: .* available", 60)
    kills = 0
    while run.running() and kills < 12:
        mount.kill_worker()
        kills += 1
        mount.served_again(kills)  # or the next one would be killed before it counts
        time.sleep(0.7)
    guest.verdict(run, 120)
    stats = mount.stats()
    l.log("%d kills; %s", kills, stats)
    expect(kills >= 3 and stats["restarts"] >= kills, "%d kills, %d restarts", kills,
           stats["restarts"])
    expect(stats["io_errors"] == 0, "there were I/O errors")


lab.main(test)
