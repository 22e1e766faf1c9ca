#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that holds a lock for ever, that of its own memory or of its memfd, or makes calls into its memfd long
without a lock, keeps nobody else waiting, whatever gvmfs was just doing there: guests are served by the same worker,
at the same speed, others come, a worker that is killed is replaced. When the lock is free the client goes on, and nothing of its region is lost."""

import itertools
import os
import signal
import subprocess
import time

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import Stranger

MIB = 1 << 20
SIZE = 32 * MIB
PAGE = 4096
ROUNDS, ROUNDS_MAX = 3, 6


def locker(l, mount, stranger, name, how):
    region = mount.region(name, SIZE)
    os.chown(region, stranger.user, stranger.user)
    # For /proc/self/map_files.
    caps = "--inh-caps=+checkpoint_restore --ambient-caps=+checkpoint_restore" if how != "memory" else ""
    return region, l.start(
        "locker", "sh", "-c", "exec 3<>%s; LD_PRELOAD=%s exec setpriv --reuid=%d --regid=%d --clear-groups %s "
        "%s %s %s %d %d" % (region, program("libgvm-preload.so"), stranger.user, stranger.user, caps,
                            stranger.own("locker"), how, stranger.folder + "/f", stranger.server.pid, SIZE))


def faults_seconds(honest, first):
    """How long a MiB takes to come, a page at a time: some times, since the host has other things to do, and since
    some of it may be there already."""
    for n in itertools.count(first):
        began = time.monotonic()
        honest.do("touch", n * MIB, MIB)
        yield time.monotonic() - began


def goes_on(l, mount, honest, name):
    honest.do("check", 0, 2 * MIB, 1)
    late = Mapper(l, mount.region(name, MIB))
    late.process.says("uffd")
    late.do("fill", 0, MIB, 2)
    return late


def is_kept_waiting(l, mount, honest, how, at):
    quiet = list(itertools.islice(faults_seconds(honest, at), ROUNDS))
    stranger = Stranger(l, mount.file("ram"), None)
    theirs, process = locker(l, mount, stranger, "theirs-" + how, how)
    worker = mount.worker()
    process.says("^locked")
    if how != "maps":
        stranger.server.says("waits")
        process.signal(signal.SIGUSR1)
    mount.says("theirs-%s.*does not let a page into its memory" % how)
    locked = []
    for took in itertools.islice(faults_seconds(honest, at + ROUNDS), ROUNDS_MAX):
        locked.append(took)
        if len(locked) >= ROUNDS and min(locked) < 20 * max(quiet):
            break
    late = goes_on(l, mount, honest, "late-" + how)
    expect(mount.worker() == worker, "another worker serves")
    expect(min(locked) < 20 * max(quiet), "1 MiB takes %s s, and %s s beside a client that holds gvmfs up", quiet,
           locked)
    return stranger, theirs, process, late


def ends_well(mount, stranger, theirs, process):
    stranger.end()
    process.says("^done", 60)
    process.signal(9)
    mount.drained(os.path.basename(theirs))
    with open(theirs, "rb") as f:
        for at in range(MIB // 8, SIZE, PAGE):
            f.seek(at)
            got = f.read(1)[0]
            expect(got == at // PAGE % 251 + 1, "page %d holds %d", at // PAGE, got)


def test(l):
    open_device(l)
    node = Node(l, "256M")
    mount = Mount(l, [node], "--allow-other")
    os.chmod(os.path.dirname(mount.path), 0o755)
    filler = Mapper(l, mount.region("ram", SIZE))
    filler.do("fill", 0, 2 * MIB, 1)
    filler.do("noise", 2 * MIB, SIZE - 2 * MIB)
    filler.end()
    mount.drained("ram")
    honest = Mapper(l, mount.file("ram"))
    honest.process.says("uffd")

    for number, how in enumerate(("file", "maps")):
        stranger, theirs, process, late = is_kept_waiting(l, mount, honest, how, 4 + (ROUNDS + ROUNDS_MAX) * number)
        late.end()
        ends_well(mount, stranger, theirs, process)

    stranger, theirs, process, late = is_kept_waiting(l, mount, honest, "memory", 4 + 2 * (ROUNDS + ROUNDS_MAX))
    release = os.uname().release.split(".")
    if (int(release[0]), int(release[1])) >= (6, 9):  # where a worker can be replaced
        mount.kill_worker()
        late.do("check", 0, MIB, 2)
        goes_on(l, mount, honest, "later").end()
        # What only its client's memory has is not read from the nodes.
        read = subprocess.run(["dd", "if=" + theirs, "of=/dev/null", "bs=4096", "count=1", "skip=40"],
                              capture_output=True, text=True, timeout=60)
        expect(read.returncode and "busy" in read.stderr, "dd says %s", read.stderr)
    late.end()
    ends_well(mount, stranger, theirs, process)
    if (int(release[0]), int(release[1])) >= (6, 9):
        wait_for("nothing waits any more", lambda: "goes on" in mount.log())
    honest.do("check", 0, 2 * MIB, 1)
    honest.end()


lab.main(test)
