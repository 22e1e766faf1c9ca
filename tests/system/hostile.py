#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No test: measures what a hostile local user costs the guests of others. Run by hand, as root, on a machine
that does nothing else:

    GVM_BUILD=build tests/system/hostile.py [ROUNDS [MEANS ...]]

An honest guest of the fast path touches pages at random below its budget, while it is quiet, and with each of
the means at work, in turns. For each means: the median, over all rounds, of its p50 and p99 against those of the
quiet turn just before. The worker is killed under each means as well: the guest has to go on, and another program
has to get the fast path. The means:

    queued, hello, beside    a descriptor of the user's own filesystem, which does not answer (stranger.py)
    nonsense, asks, silent   connections that come to nothing
    users     eight users at a time, each with as many conversations as it gets, whose file does not answer
    memory    a client that holds the lock of its own memory for ever (locker.c)
    file      one that holds the lock of its memfd
    maps      one that has a page of its memfd mapped very often, and frees it again and again
    dead      a node that stands still, with guests, writers and readers that wait for it
    full      a node without room, with guests that go on writing to it; to be held against:
    writers   the same guests on a node that has room
    log       nonsense, while nobody reads gvmfs's log
"""

import os
import signal
import statistics
import sys
import time

import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node
from startup import open_device
from stranger import USER, Stranger
from unread import Pipe

MIB = 1 << 20
SIZE = 32 * MIB
TOUCHES = 4000
SOCKET = {"queued": 1, "hello": 32, "beside": 20, "nonsense": 200, "asks": 200, "silent": 400}
USERS = range(1, 9)  # fusermount3 wants such as have a name
GUESTS = 4


class Users:
    def __init__(self, l, region):
        self.all = [Stranger(l, region, "hello", 32, user) for user in USERS]

    def end(self):
        for stranger in self.all:
            stranger.end()


class Locker:
    """Each has a region of its own."""

    def __init__(self, l, mount, how):
        region = mount.region("%s-%d" % (how, len(l.processes)), SIZE)
        self.stranger = Stranger(l, region, None)
        os.chown(region, self.stranger.user, self.stranger.user)
        # For /proc/self/map_files.
        caps = ["--inh-caps=+checkpoint_restore", "--ambient-caps=+checkpoint_restore"] if how != "memory" else []
        self.process = l.start(
            "locker", "sh", "-c", 'exec 3<>"$0"; export LD_PRELOAD="$1"; shift; exec setpriv "$@"', region,
            program("libgvm-preload.so"), "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", *caps,
            self.stranger.own("locker"), how, self.stranger.folder + "/f", str(self.stranger.server.pid), str(SIZE))
        self.process.says("^locked")
        if how != "maps":
            self.stranger.server.says("waits")
            self.process.signal(signal.SIGUSR1)

    def end(self):
        self.stranger.end()
        self.process.says("^(done|wrong)", 60)
        expect("wrong" not in self.process.log(), "the client that held a lock reads what it has not written")
        self.process.signal(9)


class Guests:
    """Guests that have all of their regions to write at once; `stop`: to a node that stands still."""

    def __init__(self, l, mount, names, word, stop=None):
        self.all, self.stop = [Mapper(l, mount.file(name)) for name in names], stop
        if stop:
            stop.stop()
        for guest in self.all:
            guest.ask(word, 0, SIZE)

    def end(self):
        for guest in self.all:
            guest.process.signal(9)
        if self.stop:
            self.stop.go_on()
        for guest in self.all:
            guest.process.wait(60)


def measured(guest):
    guest.ask("latency", 0, SIZE, TOUCHES)
    guest.answer(240)
    return [int(n) for n in guest.process.log().rsplit("latency ", 1)[1].split()[:2]]


def served(l, mount, guest, number):
    """Also by a new worker, and beside a program that comes now."""
    mount.kill_worker()
    guest.do("check", 0, 2 * MIB, 1, seconds=60)
    late = Mapper(l, mount.file("late-%d" % number))
    late.process.says("uffd", 60)
    late.do("touch", 0, MIB, seconds=60)
    late.end()


def rounds_run(l, mount, means, rounds):
    guest = Mapper(l, mount.file("ram"))
    guest.process.says("uffd")
    mount.budget("ram", SIZE // 4)
    guest.do("fill", 0, SIZE, 1, seconds=60)
    measured(guest)
    found = {name: [] for name in means}
    for number in range(rounds):
        for name, begin in means.items():
            quiet = measured(guest)
            hostile = begin()
            busy = measured(guest)
            served(l, mount, guest, number % 2)
            hostile.end()
            found[name].append((*quiet, *busy))
    for name, all_rounds in found.items():
        p50, p99, hostile50, hostile99 = (statistics.median(column) for column in zip(*all_rounds))
        ratios = [r[3] / max(r[1], 1) for r in all_rounds]
        print("%-8s p50 %d -> %d us, p99 %d -> %d us: %.2f times (rounds: %s)" %
              (name, p50, hostile50, p99, hostile99, statistics.median(ratios),
               " ".join("%.2f" % ratio for ratio in ratios)), flush=True)
    guest.end()
    end_by_force(mount)


def regions_make(l, node, names):
    mount = Mount(l, [node])
    for name in names:
        mount.region(name, SIZE)
    mount.unmount()


def mount_make(l, nodes, **options):
    mount = Mount(l, nodes, "--allow-other", **options)
    os.chmod(os.path.dirname(mount.path), 0o755)
    return mount


def end_by_force(mount):
    """What waits for the full node would be waited for."""
    for _ in range(2):
        mount.process.signal(15)
        time.sleep(2)
    wait_for("the mount ends", lambda: not mount.process.running())
    mount.lab.mounts.remove(mount)


def test(l):
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    wanted = sys.argv[2:]
    open_device(l)
    near, third, far = (Node(l, "512M", name=name) for name in ("near", "third", "far"))
    full = Node(l, "16M", "--overcommit", "64", name="full")
    theirs = ["theirs-%d" % n for n in range(GUESTS)]
    writers = ["writer-%d" % n for n in range(GUESTS)]
    crowd = ["crowd-%d" % n for n in range(GUESTS * rounds)]
    fresh = iter(crowd)  # what the full node does not take is waited for by the next who opens it
    regions_make(l, near, ["ram", "late-0", "late-1"])
    regions_make(l, far, theirs)
    regions_make(l, full, crowd)
    regions_make(l, third, writers)

    def run(nodes, means_of, **options):
        mount = mount_make(l, nodes, **options)
        means = {name: begin for name, begin in means_of(mount).items() if not wanted or name in wanted}
        if means:
            rounds_run(l, mount, means, rounds)
        else:
            mount.unmount()

    def by_socket(mount, name):
        return lambda: Stranger(l, mount.file("ram"), name, SOCKET[name])

    run([near, third, far], lambda mount: {
        **{name: by_socket(mount, name) for name in SOCKET},
        "users": lambda: Users(l, mount.file("ram")),
        "memory": lambda: Locker(l, mount, "memory"),
        "file": lambda: Locker(l, mount, "file"),
        "maps": lambda: Locker(l, mount, "maps"),
        "dead": lambda: Guests(l, mount, theirs, "touch", far),
    })
    # A mount of their own: no other region can be made beside a full node.
    run([near, third, full], lambda mount: {
        "full": lambda: Guests(l, mount, [next(fresh) for _ in range(GUESTS)], "noise"),
        "writers": lambda: Guests(l, mount, writers, "noise"),
    })
    run([near, third, far], lambda mount: {"log": by_socket(mount, "nonsense")}, name="unread",
        before=["sh", "-c", 'exec "$@" 2>"$0"', Pipe(l).path])


lab.main(test)
