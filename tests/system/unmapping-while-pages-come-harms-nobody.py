#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that has read a region in order unmaps it while the pages before it are on their way: it goes on, and neither
it nor the log hears of them."""

import sys

import lab
from lab import expect, program
from remote import Mount, Node

MIB = 1 << 20
SIZE = 16 * MIB
CHUNK = 128 << 10
READER = """import mmap, os, sys
for again in range(60):
    fd = os.open(sys.argv[1], os.O_RDWR)
    m = mmap.mmap(fd, %d)
    for at in range(0, (8 + again %% 40) * %d, 4096):
        m[at]
    m.close()
    os.close(fd)
print("done", flush=True)
""" % (SIZE, CHUNK)


def test(l):
    mount = Mount(l, [Node(l, "64M")])
    path = mount.region("ram", SIZE)
    l.write(path, 0, SIZE, 1)
    reader = l.start("reader", sys.executable, "-c", READER, path,
                     env={"LD_PRELOAD": program("libgvm-preload.so"), "GVM_MODE": "uffd"})
    expect(reader.wait(60) == 0 and "done" in reader.log(), "the reader: %s", reader.log())
    expect("cannot go on" not in mount.log(), "the mount: %s", mount.log())


lab.main(test)
