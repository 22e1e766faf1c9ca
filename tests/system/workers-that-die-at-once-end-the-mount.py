#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers that die as soon as they start are not replaced for ever: the mount ends with a message and
errors for its users, what was written is sent by a last worker, as long as that takes, and a second
signal ends that, too, with the loss said."""

import contextlib
import os
import signal
import sys
import time

import lab
from lab import children, expect, features, skip, wait_for
from remote import Node
from startup import command, folder, mounted, nothing_left, sockets

SIZE = 1 << 20
USER = """import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
f = os.open(sys.argv[1], os.O_RDWR)
print("open", flush=True)
signal.sigwait([signal.SIGUSR1])
os.pwrite(f, b"\\7" * %d, 0)
print("written", flush=True)
signal.sigwait([signal.SIGUSR1])
try:
    os.fsync(f)
    print("synced", flush=True)
except OSError as why:
    print("error %%d" %% why.errno, flush=True)
""" % SIZE


def gives_up(l, node, name):
    """A gvmfs whose workers are killed until it gives up, with unwritten data for a stopped node."""
    path = folder(l, name)
    process = l.start(name, *command([node], path, "-f"), service=True)
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    with open(path + "/file", "xb") as f:
        f.truncate(SIZE)
    user = l.start("user", sys.executable, "-c", USER, path + "/file")
    user.says("^open")
    node.stop()
    user.signal(signal.SIGUSR1)
    user.says("^written")
    names, deadline = sockets(), time.monotonic() + lab.patience(30)
    while True:
        workers = children(process.pid)
        if not mounted(path):
            break  # among these may be the last worker, which is started after that, and which nobody kills here
        expect(time.monotonic() < deadline, "it never gives up:\n%s", process.log())
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):  # it had been killed before
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    process.says("die too often")
    user.signal(signal.SIGUSR1)
    user.says("^error 1(03|07)")  # ECONNABORTED, ENOTCONN
    return path, process, names


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "workers are replaced from Linux 6.9 on")
    node = Node(l, "64M")
    path, process, names = gives_up(l, node, "waits")
    process.says("still wait")
    expect(process.running(), "it did not wait for the node")
    node.go_on()
    expect(process.wait(20) == 1, "status %s", process.popen.returncode)
    nothing_left(path, names)
    l.run(*command([node], path))
    with open(path + "/file", "rb") as f:
        expect(f.read() == b"\7" * SIZE, "what was written is lost")
    os.unlink(path + "/file")
    l.run("umount", path)

    path, process, names = gives_up(l, node, "ends")
    process.says("still wait")
    process.signal(signal.SIGTERM)
    time.sleep(1.2)
    expect(process.running(), "the first signal ended it")
    process.signal(signal.SIGTERM)
    expect(process.wait(10) == 1, "status %s", process.popen.returncode)
    process.says("ends now; LOST")
    nothing_left(path, names)
    node.go_on()


lab.main(test)
