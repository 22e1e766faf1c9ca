#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount of 128 nodes works with 1,024 descriptors, which it cannot raise: names, listings, df, a
region that lies on all nodes, many calls at a time. What is not used for a while is closed."""

import os
import resource
import subprocess

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
NODES = 128
LIMIT = 1024
REGION = 64 * MIB  # 512 chunks: some on each node


def sockets(pid):
    found = 0
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found += os.readlink("/proc/%d/fd/%s" % (pid, name)).startswith("socket:")
        except OSError:
            pass
    return found


def test(l):
    nodes = [Node(l, "8M", name="node") for _ in range(NODES)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    mount = Mount(l, nodes)
    worker = mount.worker()
    expect("(%d, %d)" % (LIMIT, LIMIT) == str(resource.prlimit(worker, resource.RLIMIT_NOFILE)),
           "the worker has another limit")
    os.mkdir(mount.file("folder"))
    path = mount.region("region", REGION)
    expect(mount.stats("region")["region_nodes"] == NODES, "it lies on %d nodes",
           mount.stats("region")["region_nodes"])
    l.write(path, 0, REGION, 1, seconds=60)
    l.check(path, 0, REGION, 1, seconds=60)
    making = [subprocess.Popen(["mkdir", mount.file("folder/%d" % n)]) for n in range(100)]
    expect(not any(process.wait(60) for process in making), "a folder was not made")
    expect(len(os.listdir(mount.file("folder"))) == 100, "there are %d folders",
           len(os.listdir(mount.file("folder"))))
    l.run("ls", "-l", mount.path)
    l.run("df", mount.path)
    # How many depends on how many calls were under way at a time; that none failed is what counts.
    l.log("%d descriptors, %d sockets", len(os.listdir("/proc/%d/fd" % worker)), sockets(worker))
    expect(mount.worker() == worker, "the worker was replaced:\n%s", mount.log())
    wait_for("connections without a conversation are closed", lambda: sockets(worker) <= NODES + 16,
             60, 0.5)
    l.check(path, 0, REGION, 1, seconds=60)
    os.rmdir(mount.file("folder/1"))


lab.main(test)
