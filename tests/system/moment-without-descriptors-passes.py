#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A moment in which the worker gets no descriptor or no memory is over when it is over: calls may fail
then, the mount and its worker stay, and afterwards every call works again."""

import itertools
import os
import resource
import subprocess
import time

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
MANY = 50
SOON_SECONDS = 2  # nothing is waited for then


def make(mount, node, name):
    """Many calls that wait at the same time, so that whatever is made for each has to be made; how many
    of them failed."""
    node.stop()
    made = [subprocess.Popen(["mkdir", mount.file("folder-%d/%s" % (n, name))], stderr=subprocess.PIPE)
            for n in range(MANY)]  # (in a folder each: the kernel lets only one make names in one)
    time.sleep(0.5)
    node.go_on()
    failed = 0
    for process in made:
        try:
            failed += process.wait(30) != 0
        except subprocess.TimeoutExpired:
            raise lab.Failure("mkdir hangs") from None
        process.stderr.close()
    return failed


def is_over(mount, name):
    return subprocess.run(["mkdir", mount.file(name)], capture_output=True).returncode == 0


def moment_seconds(l, mount, node, limit, value, turn):
    """How long it is not over yet when there is enough again."""
    worker = mount.worker()
    old = resource.prlimit(worker, limit)
    resource.prlimit(worker, limit, (value, old[1]))
    failed = make(mount, node, "during-%d-%d-%d" % (limit, value, turn))
    subprocess.run(["df", mount.path], capture_output=True, timeout=30)
    resource.prlimit(worker, limit, old)
    began = time.monotonic()
    lab.wait_for("the moment to be over", lambda: is_over(mount, "probe-%d-%d-%d" % (limit, value, turn)))
    took = time.monotonic() - began
    l.log("limit %d at %d: %d of %d calls failed, and one %.2f s later did not", limit, value, failed, MANY, took)
    for n in range(MANY):
        os.mkdir(mount.file("folder-%d/after-%d-%d-%d" % (n, limit, value, turn)))
    expect(mount.worker() == worker, "the worker was replaced:\n%s", mount.log())
    return took


def moment(*arguments):
    turns = itertools.count()
    took = lab.in_its_time(lambda: moment_seconds(*arguments, next(turns)), lambda took: took < SOON_SECONDS)
    expect(took < SOON_SECONDS, "the moment was over after %.1f s only", took)


def test(l):
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount = Mount(l, [near, far])
    for n in range(MANY):
        os.mkdir(mount.file("folder-%d" % n))
    moment(l, mount, far, resource.RLIMIT_NOFILE, 8)
    moment(l, mount, far, resource.RLIMIT_NOFILE, 0)
    # No new threads, stacks or larger heaps.
    moment(l, mount, far, resource.RLIMIT_AS, 64 << 10)
    path = mount.region("region", 4 * MIB)
    l.write(path, 0, 4 * MIB, 1)
    l.check(path, 0, 4 * MIB, 1)


lab.main(test)
