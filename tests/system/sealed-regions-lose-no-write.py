#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A sealed region under a torture while its worker is killed again and again, as a file and on the fast path:
nothing is lost, no block leaves the host unsealed, and no salt and number are ever used for two contents."""

import os
import time

import lab
from lab import expect, features, program, skip
from remote import Mount, Node
from sealing import Liar, key_file
from torture import Torture

MIB = 1 << 20
REGION = 32 * MIB
KILLS = 5


def tortured(l, liars, key, region, *options, fast, **started):
    mount = Mount(l, liars, "--seal-key-file", key)
    mount.region(region, REGION)
    if fast:
        mount.budget(region, REGION // 4)
    torture = Torture(l, mount, region, "--seconds", "7", *options, **started)
    kills = 0
    while torture.running() and kills < KILLS:
        time.sleep(0.9)
        mount.kill_worker()
        kills += 1
    expect(kills >= 2, "only %d workers were killed", kills)
    torture.passes()
    if fast:
        mount.drained(region)
    expect("REFUSED" not in mount.log(), "a node that is honest was called a liar")
    mount.unmount()
    again = Mount(l, liars, "--seal-key-file", key)
    l.run(program("torture"), "--file", again.file(region), "--shadow", l.path("shadow"), "--verify", seconds=60)
    again.unmount()
    for kept in ("shadow", "disk"):
        os.unlink(l.path(kept))


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    liars = [Liar(l, Node(l, "96M")) for _ in range(2)]
    key = key_file(l)
    group = l.cgroup(REGION // 4 + 12 * MIB)
    tortured(l, liars, key, "file", "--processes", "2", "--threads", "3", fast=False, cgroup=group)
    tortured(l, liars, key, "fast", "--alone", "--threads", "4", fast=True,
             env={"LD_PRELOAD": program("libgvm-preload.so")})
    for liar in liars:
        blocks, reused, plain, _ = liar.counts()
        expect(blocks > 1000, "only %d sealed blocks were sent", blocks)
        expect(not reused, "%d of %d blocks have a salt and number that others have", reused, blocks)
        expect(not plain, "%d blocks were sent unsealed", plain)


lab.main(test)
