#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes with --persist are killed and started again under a torture of a mapped region: its users notice
pauses and nothing else. One whose disk has little room lends little, and says so at the start."""

import os
import time

import lab
from lab import expect, program
from remote import Mount, Node
from torture import Torture

MIB = 1 << 20
REGION = 64 * MIB


def small_disk(l):
    disk = l.path("disk-small")
    os.mkdir(disk)
    l.run("mount", "-t", "tmpfs", "-o", "size=48M", "none", disk)
    try:
        node = Node(l, "512M", "--persist", disk, name="small")
        node.process.says(r"lends \d+ MiB only: .* has room for no more")
        mount = Mount(l, [node], name="small-mount")
        failed = None
        try:
            mount.region("large", 256 * MIB)
        except OSError as error:
            failed = error.errno
        expect(failed == 28, "a region that the disk cannot keep was made: %s", failed)
        path = mount.region("fits", 8 * MIB)
        for seed in range(8):
            l.write(path, 0, 8 * MIB, seed)
        node.kill()
        node.start()
        l.check(path, 0, 8 * MIB, 7)
        mount.unmount()
        node.end()
        log = l.run(program("gvm-memnode"), "--listen", "127.0.0.1:0", "--memory", "64M", "--persist", disk,
                    "--persist-size", "1G", status=1)
        expect("cannot grow to 1024 MiB" in log, "%s", log)
    finally:
        l.run("umount", disk, status=None)


def test(l):
    nodes = []
    for name in ("one", "two"):
        os.mkdir(l.path(name))
        nodes.append(Node(l, "96M", "--persist", l.path(name), name=name))
    # What comes raw is compressed, and written down again, between the kills.
    mount = Mount(l, nodes, "--compress", "never")
    mount.region("ram", REGION)
    group = l.cgroup(REGION // 4 + 12 * MIB)
    torture = Torture(l, mount, "ram", "--processes", "2", "--threads", "3", cgroup=group)
    kills = 0
    while torture.running() and kills < 10:
        node = nodes[kills % 2]
        node.kill()
        time.sleep(0.1)
        node.start()
        kills += 1
        time.sleep(0.8)
    torture.passes()
    torture.is_seen_by_another_mount(nodes)
    small_disk(l)


lab.main(test)
