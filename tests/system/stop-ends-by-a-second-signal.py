#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount that was unmounted with writes for a node that is away waits for it, and says so; goes on
through one signal, and through one that comes twice; and ends by a later one, with the loss said."""

import os
import signal
import sys
import time

import lab
from lab import expect, wait_for
from remote import Node
from startup import command, folder, mounted, nothing_left

MIB = 1 << 20
SIZE = 4 * MIB
WRITER = """import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
f = os.open(sys.argv[1], os.O_RDWR)
print("open", flush=True)
signal.sigwait([signal.SIGUSR1])
os.pwrite(f, b"\\7" * %d, 0)
print("written", flush=True)
signal.pause()
""" % SIZE


def waiting(l, node, name):
    """A gvmfs that waits with unwritten data for its node, after its unmount."""
    path = folder(l, name)
    process = l.start(name, *command([node], path, "-f"))
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    with open(path + "/file", "xb") as f:
        f.truncate(SIZE)
    l.write(path + "/file", 0, SIZE, 1)
    writer = l.start("writer", sys.executable, "-c", WRITER, path + "/file")
    writer.says("^open")
    node.stop()
    writer.signal(signal.SIGUSR1)
    writer.says("^written")
    return path, process, writer


def test(l):
    node = Node(l, "128M")
    path, process, writer = waiting(l, node, "waits")
    l.run("umount", "-l", path)
    writer.signal(signal.SIGKILL)
    process.says("written chunks still wait")
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGHUP)
    time.sleep(1.5)
    expect(process.running(), "it ended by the first signal:\n%s", process.log())
    node.go_on()
    process.succeed(30)
    nothing_left(path)
    check = folder(l, "check")
    l.run(*command([node], check))
    with open(check + "/file", "rb") as f:
        expect(f.read() == b"\7" * SIZE, "the writes are lost")
    os.unlink(check + "/file")
    l.run("umount", check)

    path, process, writer = waiting(l, node, "ends")
    process.signal(signal.SIGTERM)
    process.says("is in use")
    writer.signal(signal.SIGKILL)
    process.says("written chunks still wait.*a second signal")
    time.sleep(1)
    process.signal(signal.SIGINT)
    expect(process.wait(10) == 1, "status %s", process.popen.returncode)
    said = process.says(r"ends now; LOST .* (\d+) written chunks")
    expect(int(said.group(1)), "it says that nothing is lost:\n%s", process.log())
    nothing_left(path)
    node.go_on()


lab.main(test)
