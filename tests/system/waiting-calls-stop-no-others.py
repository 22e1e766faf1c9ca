#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred calls that wait for a stopped node stop nobody else: with all of them waiting, what needs
the other nodes only is opened, made, resized, listed, read and written."""

import os
import sys
import time

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
WAITING = 100
WAIT = "import os, sys; os.open(sys.argv[1], os.O_RDWR)"
WAIT_READ = "import os, sys; os.pread(os.open(sys.argv[1], os.O_RDONLY), 4096, 0)"
HANGS = 25


def test(l):
    nodes = [Node(l, "256M", name=name) for name in "ABC"]
    stopped = nodes[1]
    mount = Mount(l, [nodes[0], nodes[2]])
    mount.region("own", 16 * MIB)
    l.write(mount.file("own"), 0, 16 * MIB, 1)
    mount.unmount()
    # A long --timeout: the calls that wait do so for as long as this test lasts.
    mount = Mount(l, nodes, "--timeout", "120")
    regions = [mount.region("shared-%d" % n, 384 << 10) for n in range(WAITING)]
    for path in regions[:8]:
        l.write(path, 0, 384 << 10, 2)
    own = mount.file("own")
    l.write(own, 0, 4096, 1)
    stopped.stop()
    waiting = [l.start("open", sys.executable, "-c", WAIT, path) for path in regions]
    waiting += [l.start("read", sys.executable, "-c", WAIT_READ, path) for path in regions[:8]]
    time.sleep(2)
    expect(sum(process.running() for process in waiting) > WAITING // 2, "few calls wait")
    began = time.monotonic()
    for command in (["mkdir", mount.file("folder")], ["ls", "-l", mount.path], ["df", mount.path],
                    ["touch", own], ["mv", own, own + "-moved"], ["mv", own + "-moved", own],
                    ["truncate", "-s", "20M", own], ["truncate", "-s", "16M", own],
                    ["rmdir", mount.file("folder")]):
        l.run(*command, seconds=HANGS)
        l.log("%s: done", " ".join(command))
    l.check(own, 0, 16 * MIB, 1, seconds=HANGS)
    l.write(own, 0, 16 * MIB, 3, seconds=HANGS)
    l.check(own, 0, 16 * MIB, 3, seconds=HANGS)
    expect(sum(process.running() for process in waiting) > WAITING // 2, "they do not wait any more")
    l.log("all that beside %d waiting calls: %.1f s", len(waiting), time.monotonic() - began)
    for process in waiting:
        process.signal(9)
    lab.wait_for("those that are killed end", lambda: not any(p.running() for p in waiting), 30)
    stopped.go_on()
    l.write(regions[0], 0, 384 << 10, 5, seconds=60)
    l.check(regions[0], 0, 384 << 10, 5, seconds=60)


lab.main(test)
