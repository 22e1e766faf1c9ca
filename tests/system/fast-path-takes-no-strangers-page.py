#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages that another program puts into a client's memory on the fast path are not taken for what
belongs there: not when the client comes to them, and not by a killed worker's successor."""

import os
import re

import lab
from lab import expect, features
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 16 * MIB
PAGE = 4096
CHUNK = MIB // 8


def memory_of(pid):
    """The client's memory itself, which only an administrator can open."""
    with open("/proc/%d/maps" % pid) as maps:
        place, = re.findall(r"^([0-9a-f]+-[0-9a-f]+) .*memfd:gvmfs-memory", maps.read(), re.M)
    return os.open("/proc/%d/map_files/%s" % (pid, place), os.O_RDWR)


def places(begin):
    """Chunks, in no order that anything would be fetched ahead for."""
    return [begin + c * CHUNK for c in (5, 0, 7, 2)]


def test(l):
    nodes = [Node(l, "96M")]
    mount = Mount(l, nodes)
    region = mount.region("ram", SIZE)
    l.write(region, 0, SIZE, 1)
    client = Mapper(l, region)
    client.process.says("uffd")
    memory = memory_of(client.process.pid)

    # Zeros and other bytes, where nothing of the client's is; and beside the few pages of a chunk
    # that it has touched.
    os.posix_fallocate(memory, MIB, MIB)
    os.pwrite(memory, b"\xee" * MIB, 2 * MIB)
    for at in places(3 * MIB):
        client.do("touch", at, PAGE)
        os.pwrite(memory, b"\xee" * (CHUNK // 2), at + CHUNK // 2)
    client.do("check", 0, 4 * MIB, 1)
    # The same, left to a successor, and in the way of what is fetched ahead.
    if features.fuse_resend():
        for at in places(10 * MIB):
            client.do("touch", at, PAGE)
            client.do("fill", at + PAGE, PAGE, 2)
            os.pwrite(memory, b"\xee" * (CHUNK // 2), at + CHUNK // 2)
        os.posix_fallocate(memory, 6 * MIB, 2 * MIB)
        mount.kill_worker()
        for at in places(10 * MIB):
            client.do("check", at, PAGE, 1)
            client.do("check", at + PAGE, PAGE, 2)
            client.do("check", at + 2 * PAGE, CHUNK - 2 * PAGE, 1)
            client.do("fill", at + PAGE, PAGE, 1)
    os.posix_fallocate(memory, 12 * MIB, SIZE - 12 * MIB)
    client.do("check", 0, SIZE, 1)
    os.close(memory)
    client.do("fill", 0, SIZE // 2, 3)
    client.end()
    mount.drained("ram")
    expect(not mount.stats("ram")["io_errors"], "%s", mount.stats("ram"))
    l.check(region, 0, SIZE // 2, 3)
    l.check(region, SIZE // 2, SIZE // 2, 1)


lab.main(test)
