#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker whose supervisor is killed serves on without burning the CPU, says so, and is ended as the
supervisor would be; then nothing is left. Signals to the worker itself, as service managers send them
to all of a service, are the supervisor's affair while there is one. And where what it leaves cannot be
released, because that waits for a filesystem of others, its end does not wait for that."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time

import lab
from lab import children, expect, wait_for
from remote import Node
from startup import command, folder, holder, mounted, nothing_left, serving, sockets
from stranger import Stranger, connect

MIB = 1 << 20
# It has the file open to the end: to close it is what waits.
WRITER = """import os, signal, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b"dirty" * 1000, 0)
os.kill(int(sys.argv[2]), signal.SIGUSR1)
print("written", flush=True)
signal.pause()
"""


def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def start(l, node, name):
    path = folder(l, name)
    process = l.start(name, *command([node], path, "-f"), service=True)
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    worker = next(pid for pid, parent in serving(path).items() if parent == process.pid)
    return path, process, worker


def orphaned(l, node):
    path, process, worker = start(l, node, "orphaned")
    names = sockets()
    expect(names, "it has no socket")
    with open(path + "/a", "xb") as f:
        f.truncate(4 * MIB)
    user = holder(l, path + "/a")
    process.signal(signal.SIGKILL)
    process.wait(5)
    wait_for("the worker says so", lambda: "will not be replaced" in process.log())
    l.write(path + "/a", 0, 4 * MIB, 1)
    l.check(path + "/a", 0, 4 * MIB, 1)
    before = ticks(worker)
    time.sleep(1)
    spent = ticks(worker) - before
    expect(spent < os.sysconf("SC_CLK_TCK") // 2, "an idle worker took %d ticks in a second", spent)
    os.kill(worker, signal.SIGTERM)
    wait_for("it unmounts", lambda: not mounted(path))
    expect(worker in serving(path), "the worker is gone under its user:\n%s", process.log())
    user.signal(signal.SIGKILL)
    nothing_left(path, names)


def signalled(l, node):
    path, process, worker = start(l, node, "signalled")
    names = sockets()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker, number)
    time.sleep(0.3)
    expect(worker in serving(path), "a signal ended the worker")
    user = holder(l, path)
    for pid in (process.pid, worker):  # as systemd does
        os.kill(pid, signal.SIGTERM)
    process.says("is in use")
    time.sleep(0.3)
    found = [pid for pid, parent in serving(path).items() if parent == process.pid]
    expect(found == [worker], "the worker %d was replaced: %s", worker, found)
    user.signal(signal.SIGKILL)
    process.succeed(10)
    nothing_left(path, names)


def state(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def queue(to, file):
    """Leaves the file in the queue of a socket, and that in the queue of `to`."""
    fd = os.open(file, os.O_RDWR)
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with connect(to) as s, a, b:
        socket.send_fds(a, [b"x"], [fd])
        os.close(fd)
        socket.send_fds(s, [b"garbage"], [b.fileno()])


def ended_beside(l, node):
    """Before Linux 6.9 any socket that a worker closes may show what a stranger left. On all kernels one shows what lies in
    its own queue: here that of the socket for heirs, which the worker alone has."""
    path, process, worker = start(l, node, "beside")
    closer = next(pid for pid, name in children(worker).items() if name == "gvmfs-closer")
    process.signal(signal.SIGKILL)
    process.wait(5)
    wait_for("the worker says so", lambda: "will not be replaced" in process.log())
    names = wait_for("it listens for heirs", lambda: [name for name in sockets() if "heir-of" in name])
    stranger = Stranger(l, path, None, user=0)
    os.kill(worker, signal.SIGSTOP)
    wait_for("it takes nothing any more", lambda: state(worker) == "T")
    queue(names[0], stranger.folder + "/f")
    writer = l.start("writer", sys.executable, "-c", WRITER, stranger.folder + "/f", str(stranger.server.pid))
    writer.says("^written")

    os.kill(worker, signal.SIGKILL)
    wait_for("somebody waits for the filesystem", lambda: "a WRITE waits" in stranger.server.log())
    wait_for("the worker has ended", lambda: state(worker) in ("Z", None))
    wait_for("another process waits", lambda: state(closer) == "D")
    try:
        os.stat(path + "/none")  # not in the kernel's cache
        expect(False, "the mount answers without a worker")
    except OSError as why:
        expect(why.errno == errno.ENOTCONN, "the mount answers with %s", why)
    stranger.end()
    writer.signal(signal.SIGKILL)
    subprocess.run(["umount", path], check=True)
    os.unlink(names[0])
    nothing_left(path, names)


def test(l):
    node = Node(l, "128M")
    orphaned(l, node)
    signalled(l, node)
    ended_beside(l, node)


lab.main(test)
