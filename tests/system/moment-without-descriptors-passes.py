#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A moment in which the worker gets no descriptor or no memory is over when it is over: calls may fail
then, the mount and its worker stay, and afterwards every call works again."""

import os
import resource
import subprocess
import time

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
MANY = 50


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


def moment(l, mount, node, limit, value):
    worker = mount.worker()
    old = resource.prlimit(worker, limit)
    resource.prlimit(worker, limit, (value, old[1]))
    failed = make(mount, node, "during-%d-%d" % (limit, value))
    subprocess.run(["df", mount.path], capture_output=True, timeout=30)
    resource.prlimit(worker, limit, old)
    l.log("limit %d at %d: %d of %d calls failed", limit, value, failed, MANY)
    lab.wait_for("the moment to be over", lambda: subprocess.run(
        ["mkdir", mount.file("probe-%d-%d" % (limit, value))], capture_output=True).returncode == 0)
    for n in range(MANY):
        os.mkdir(mount.file("folder-%d/after-%d-%d" % (n, limit, value)))
    expect(mount.worker() == worker, "the worker was replaced:\n%s", mount.log())


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
