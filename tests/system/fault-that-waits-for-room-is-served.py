#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads that touch new memory when the budget is full and nothing can leave wait, and go on when
the node takes something: all of them, also when the first takes all the room that this gives."""

import ctypes
import mmap
import os
import sys
import threading

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

MIB = 1 << 20
CHUNK = MIB // 8
SIZE = 8 * MIB
BUDGET = 2 * MIB
FILLED = BUDGET // CHUNK - 1
THREADS = 3  # more than there is room for by two


def client(path):
    """Fills all but one chunk of the budget; threads touch a chunk each when it gets a line."""
    fd = os.open(path, os.O_RDWR)
    memory = mmap.mmap(fd, SIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))

    def touch(chunk):
        ctypes.memset(address + chunk * CHUNK, 1, 1)  # without Python's lock
        print("touched %d" % chunk, flush=True)

    ctypes.memset(address, 1, FILLED * CHUNK)
    print("filled", flush=True)
    with open(sys.argv[2]) as pipe:
        pipe.readline()
    threads = [threading.Thread(target=touch, args=[FILLED + 1 + i]) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test(l):
    node = Node(l, "64M")
    mount = Mount(l, [node])
    region = mount.region("ram", SIZE)
    mount.budget("ram", BUDGET)
    os.mkfifo(l.path("go"))
    process = l.start("client", sys.executable, os.path.abspath(__file__), region, l.path("go"),
                      env={"LD_PRELOAD": program("libgvm-preload.so"), "GVM_MODE": "uffd"})
    process.says("^filled")
    node.stop()
    with open(l.path("go"), "w") as pipe:
        print("go", file=pipe)
    wait_for("two of them wait", lambda: mount.stats("ram")["room_waits"] == THREADS - 1)
    process.says("^touched")
    node.go_on()
    process.succeed(15)
    expect(process.log().count("touched") == THREADS, "not all of them went on")
    expect(mount.stats("ram")["resident_peak_bytes"] <= BUDGET, "the budget did not hold")


if sys.argv[1:]:
    client(sys.argv[1])
else:
    lab.main(test)
