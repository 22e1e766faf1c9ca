#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second host gets a region when its writer's lease has run out on every node, and on none before: one that
is cut off from one node for longer than that keeps the region, and goes on there. When the writer's host is
gone the second one is refused until the lease has run out, and has the region then, with what was written."""

import errno
import os
import signal
import time

import lab
from lab import children, expect, wait_for
from remote import Mount, Node, Relay, open_error

MIB = 1 << 20
LEASE = 7  # a writer that is stopped for some seconds keeps it
WRITTEN = b"first" * 1000


def become_another_host(l):
    """To what is started from here on; of this host it would be known that the writer is dead."""
    for name, text in (("/proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0123-456789abcdef\n"),
                       ("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")):
        path = l.path(os.path.basename(name))
        with open(path, "w") as f:
            f.write(text)
        if os.path.exists(name):
            l.run("mount", "--bind", path, name)


def kill_host(mount):
    for pid in [mount.process.pid, *children(mount.process.pid)]:  # no worker may follow
        os.kill(pid, signal.SIGKILL)
    mount.process.wait(10)


def test(l):
    nodes = [Node(l, "64M"), Node(l, "64M")]
    relay = Relay(l, nodes[0])
    one = Mount(l, [relay.address, nodes[1]], "--lease", str(LEASE), name="one")
    become_another_host(l)
    two = Mount(l, nodes, name="two")
    region = one.region("ram", 4 * MIB)
    held = os.open(region, os.O_RDWR)
    os.pwrite(held, WRITTEN, 0)
    os.fsync(held)
    wait_for("the other host sees the region", lambda: os.path.exists(two.file("ram")), 15)

    # The first node alone has not heard of the writer for longer than its lease.
    relay.cut()
    ends = time.monotonic() + 2 * LEASE
    while time.monotonic() < ends:
        found = open_error(two.file("ram"))
        expect(found == errno.EBUSY, "the second host got %s", errno.errorcode.get(found, found))
        time.sleep(0.2)
    relay.start()
    for n in range(32):
        os.pwrite(held, b"%7d" % n * 4096, n << 17)
    os.fsync(held)
    expect("FENCED" not in one.log(), "the first host was fenced")
    expect(open_error(two.file("ram")) == errno.EBUSY, "the writer has lost the region")
    os.pwrite(held, WRITTEN, 0)
    os.fsync(held)

    # Its host is gone.
    began = time.monotonic()
    kill_host(one)
    expect(open_error(two.file("ram")) == errno.EBUSY, "the lease ended with its writer")
    wait_for("the second host may write", lambda: open_error(two.file("ram")) == 0, 10 * LEASE)
    l.log("that took %.1f s, with a lease of %d s", time.monotonic() - began, LEASE)
    with open(two.file("ram"), "rb") as f:
        expect(f.read(len(WRITTEN)) == WRITTEN, "other content than was written")
    os.close(held)


lab.main(test)
