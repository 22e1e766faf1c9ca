# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages that are sent by fsync and are zero again later: what the node has of them after all."""

import os
import sys
import time

from lab import wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
CHUNK = MIB // 8
PAGE = 4096
THE = 20 * CHUNK  # the chunk; before it, as many others as fill the line
PARTS = 4  # pages of it that are in the memory
STRAY = THE + 10 * PAGE
FSYNC = "import os, sys; fd = os.open(sys.argv[1], os.O_RDONLY); print('begins', flush=True); " \
        "os.fsync(fd); print('synced', flush=True)"


def fsync(l, path):
    process = l.start("fsync", sys.executable, "-c", FSYNC, path)
    process.says("^begins")
    return process


def node_filled(node, path):
    """Fills the node up with another region's pages until no chunk of ours has room."""
    def left():
        stats = node.stats()
        return stats["capacity_bytes"] - stats["held_bytes"]
    fd, at = os.open(path, os.O_RDWR), 0
    for least, step in ((200 << 10, CHUNK), (9 << 10, PAGE)):
        while left() > least:
            os.pwrite(fd, os.urandom(step), at)
            os.fsync(fd)
            at += CHUNK
    os.close(fd)


def page_of(path, at):
    with open(path, "rb") as f:
        f.seek(at)
        return f.read(PAGE)


def cleared_page(l, mutant=None):
    """A page that was zero when it came."""
    node = Node(l, "64M")
    mount = Mount(l, [node], mutant=mutant)
    ram = mount.region("ram", 8 * MIB)
    client = Mapper(l, ram)
    client.do("touch", THE, PAGE)
    client.do("byte", THE, PAGE, 5)
    fsync(l, ram).says("^synced")
    client.do("byte", THE, PAGE, 0)
    client.end()
    mount.drained("ram")
    page = page_of(ram, THE)
    mount.unmount()
    node.end()
    return page


def stray_page(l, mutant=None):
    """A page that comes into the memory while the write-back of its chunk waits in a line. The chunk is
    zero on the node with only some of its pages in the memory: a write-back was refused by a full
    node, then these pages were made zero, which was sent as a whole."""
    node = Node(l, "16M", "--overcommit", "50")
    mount = Mount(l, [node], "--writers", "1", mutant=mutant)
    ram, other = mount.region("ram", 8 * MIB), mount.region("other", 64 * MIB)
    with open(ram, "r+b", buffering=0) as f:
        for at in list(range(0, THE, CHUNK)) + [THE + p * PAGE for p in range(PARTS)]:
            f.seek(at)
            f.write(b"\x01" * PAGE)
        os.fsync(f.fileno())
    wait_for("the region is at rest", lambda: not mount.stats("ram")["attached_epoch"])
    client = Mapper(l, ram)
    # In no order that anything would be fetched ahead for.
    client.do("touch", THE, PAGE)
    for c in (3, 17, 0, 11, 5, 19, 8, 1, 14, 6, 18, 2, 12, 7, 16, 4, 13, 9, 15, 10):
        client.do("touch", c * CHUNK, PAGE)
    node_filled(node, other)
    client.do("noise", THE, PARTS * PAGE)
    sync = fsync(l, ram)
    mount.says("will be tried again")
    client.do("byte", THE, PARTS * PAGE, 0)
    sync.says("^synced")
    # A line of write-backs before a node that stands still, with the chunk's among the last.
    for c in range(21):
        client.do("byte", c * CHUNK, PAGE, 2)
    node.stop()
    sync = fsync(l, ram)
    time.sleep(0.5)  # for the fsync to reach gvmfs, which it does not tell
    client.do("byte", STRAY, PAGE, 7)
    node.go_on()
    sync.says("^synced")
    client.do("byte", STRAY, PAGE, 0)
    sync = fsync(l, ram)
    sync.says("^synced")
    client.end()
    mount.drained("ram")
    page = page_of(ram, STRAY)
    mount.unmount()
    node.end()
    return page
