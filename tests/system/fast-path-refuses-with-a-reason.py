#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the fast path would not be safe the mapping stays a file's, with the reason; a program that
insists on it does not start. A node's declared loss and a gvmfs that is gone end the client loudly,
never with zeros; another region goes on."""

import os
import signal

import lab
from lab import expect, program
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 8 * MIB


def insists(l, region):
    """A mapper with GVM_MODE=uffd, which may fail."""
    os.mkfifo(l.path("none"))
    pipe = os.open(l.path("none"), os.O_RDWR)
    process = l.start("insists", "python3", os.path.join(lab.HERE, "mapper.py"), region,
                      l.path("none"),
                      env={"LD_PRELOAD": program("libgvm-preload.so"), "GVM_MODE": "uffd"})
    status = process.wait(20)
    os.close(pipe)
    os.unlink(l.path("none"))
    return status, process.log()


def test(l):
    near, far = Node(l, "32M"), Node(l, "32M")
    mount = Mount(l, [near])
    region, other = mount.region("ram", SIZE), mount.region("other", SIZE)

    plain = Mapper(l, region, mode="fuse")
    plain.process.says("fuse, since")
    plain.do("fill", 0, SIZE, 1)
    status, said = insists(l, region)
    expect(status and "another program has it open" in said, "status %d: %s", status, said)
    plain.end()

    # What the page cache held is the fast path's to begin with.
    client = Mapper(l, region)
    client.process.says("uffd")
    client.do("check", 0, SIZE, 1)
    status, said = insists(l, region)
    expect(status and "Device or resource busy" in said, "status %d: %s", status, said)
    second = Mapper(l, other)
    second.do("fill", 0, SIZE, 2)
    client.process.signal(signal.SIGKILL)
    client.process.wait(10)
    # At once: opening it waits until what the last client left is on the nodes.
    again = Mapper(l, region)
    again.process.says("uffd")
    again.do("check", 0, SIZE, 1)
    second.do("check", 0, SIZE, 2)
    again.end()
    mount.drained("ram")
    l.check(region, 0, SIZE, 1)

    # A region on a node that loses its memory.
    away = Mount(l, [far], name="away")
    lost = away.region("lost", SIZE)
    away.budget("lost", 2 * MIB)
    loser = Mapper(l, lost)
    loser.do("fill", 0, SIZE, 3)
    far.restart_empty()
    loser.ask("check", 0, SIZE, 3)
    expect(loser.process.wait(30) != 0, "a client read what is lost")
    expect("0: differs" not in loser.process.log() and "(zeros)" not in loser.process.log(),
           "what is lost was read as %s", loser.process.log())
    away.says("LOST")

    # Everything of gvmfs killed at once.
    worker = mount.worker()
    for pid in (mount.process.pid, worker):
        os.kill(pid, signal.SIGKILL)
    second.ask("check", 0, SIZE, 2)
    second.process.wait(30)
    expect("the guest's memory is lost" in second.process.log(), "it says %s", second.process.log())


lab.main(test)
