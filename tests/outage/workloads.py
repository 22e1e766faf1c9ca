# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes on while things break, and verifies every page: verify.c on a mapped file and on the fast
path, and a guest that fills and checks its memory."""

import os
import re
import signal
import struct

from lab import BUILD, expect, program, wait_for  # first: it says where the others are
import guest

VERIFY = os.path.join(BUILD, "tests/outage/verify")
# ledger.h has the same
THREADS, BUCKETS, WAITS = 16, 512, 8192
HEAD = struct.Struct("=8Q")
MAGIC = 0x7265676465676c31


class Ledger:
    """Read while it is written: each number by itself is right."""

    def __init__(self, path):
        self.path = path

    def _words(self, first, count):
        with open(self.path, "rb") as f:
            f.seek(first * 8)
            return struct.unpack("=%dQ" % count, f.read(count * 8))

    def counts(self):
        magic, _, checks, writes, syncs, bad, errors, waits = self._words(0, 8)
        expect(magic == MAGIC, "%s is no ledger", self.path)
        return {"checks": checks, "writes": writes, "syncs": syncs, "bad": bad, "errors": errors, "waits": waits}

    def since(self):
        """When each thread's access began, in nanoseconds; 0: it is in none."""
        return self._words(8, THREADS)

    def buckets(self):
        return self._words(8 + THREADS, BUCKETS)

    def waits(self):
        """(began, took) of the newest accesses that took long, in nanoseconds."""
        words = self._words(8 + THREADS + BUCKETS, 2 * WAITS)
        return [pair for pair in zip(words[::2], words[1::2]) if pair[1]]


def quantile(buckets, part):
    """Seconds that this part of all accesses took at most."""
    left = part * sum(buckets)
    for number, count in enumerate(buckets):
        left -= count
        if left <= 0 and count:
            log, eighth = divmod(number, 8)
            return ((8 + eighth + 1) << log >> 3) / 1e9
    return 0.0


class Verify:
    """One that lasts until it is ended, and may be started again after a crash of all below it."""

    def __init__(self, storm, name, size, fast, threads=2, cgroup=None):
        self.storm, self.name, self.fast, self.threads, self.cgroup = storm, name, fast, threads, cgroup
        storm.mount.region(name, size)
        if fast:
            storm.mount.budget(name, size // 4)
        self.ledger = Ledger(storm.lab.path(name + ".ledger"))
        self.expected_errors = 0
        self._start()

    def _start(self, *options, by=None):
        mount = by or self.storm.mount
        self.process = self.storm.lab.start(
            self.name, VERIFY, "--file", mount.file(self.name), "--ledger", self.ledger.path, "--threads",
            self.threads, "--seed", self.storm.seed, *(["--fast"] if self.fast else []), *options, cgroup=self.cgroup)

    def begin(self, seconds):
        self.process.says("^verify: at work", seconds)

    def alive(self):
        return self.process.running()

    def goes_on(self, since_ns):
        """Whether each thread is at work on what it began after that moment."""
        return all(not began or began > since_ns for began in self.ledger.since())

    def progress(self):
        return self.ledger.counts()["checks"]

    def crash(self):
        """Its mount has gone: it ends, however. What it can still reach was there before."""
        self.process.wait(60)
        self.expected_errors = self.ledger.counts()["errors"]
        expect(self.ledger.counts()["bad"] == 0, "%s: wrong bytes before a crash: %s", self.name, self.process.log())

    def resume(self):
        if self.fast:
            self.storm.mount.budget(self.name, os.stat(self.storm.mount.file(self.name)).st_size // 4)
        self._start("--resume")

    def end(self):
        self.process.signal(signal.SIGTERM)
        self.process.succeed(120)

    def look(self, mount):
        """Another mount has what this run left."""
        self._start("--look", by=mount)
        self.process.succeed(120)

    def wrong(self):
        return self.ledger.counts()["bad"]

    def bus_errors(self):
        return self.ledger.counts()["errors"] - self.expected_errors


class Guest:
    """One that fills and checks its memory for as long as it is let, on the fast path."""

    threads = 0

    def __init__(self, storm, name, ram, local):
        self.storm, self.name, self.ram, self.local = storm, name, ram, local
        self.resume()

    def resume(self):
        """One that boots: after a crash of the mount there is nothing that a guest could go on with."""
        storm, name, ram, local = self.storm, self.name, self.ram, self.local
        self.process = storm.lab.start(
            name, program("gvm"), "run", "--local", "%dM" % local, "--mode", "uffd", "--mount", storm.mount.path,
            "--region", name, "--", *guest.command("fill", "%dM" % ram, job="fill", percent=60, rounds=1000000000))

    def begin(self, seconds):
        self.process.says("^gvm-fill: .* available", seconds)

    def alive(self):
        return self.process.running()

    def crash(self):
        """Its mount has gone, and QEMU ends."""
        self.process.wait(60)
        expect(not self.wrong(), "the guest: wrong bytes before a crash: %s", self.process.log())

    def goes_on(self, _):
        return True

    def progress(self):
        return self.process.log().count("MiB")

    def end(self):
        """Once it has checked everything once more."""
        done = self._verified()
        wait_for("the guest has checked all its memory", lambda: self._verified() > done + 1 or not self.alive(), 300)
        expect(self.alive(), "the guest has ended: %s", self.process.log())
        self.process.signal(signal.SIGTERM)
        self.process.wait(30)

    def _verified(self):
        return len(re.findall(r"verify (\d+)/\1 MiB", self.process.log()))

    def wrong(self):
        return len(re.findall("BAD page|kernel complains", self.process.log()))

    def bus_errors(self):
        return 0 if self.alive() or self.process.popen.returncode in (0, -signal.SIGTERM) else 1
