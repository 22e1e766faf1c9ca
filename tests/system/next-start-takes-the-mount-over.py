#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount whose supervisor was killed is taken over by the next start at its place: guests and open files go
on, new programs come to the fast path, a worker that is killed is replaced again, and the mount ends as any
other. Until then the worker serves alone, and says so. A next start that is stopped while it takes the mount over
delays no guest; one that comes before the worker has seen that its supervisor was killed waits for that."""

import os
import signal
import socket
import struct

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Node
from startup import SOCKETS, as_user, command, folder, mounted, nothing_left, open_device, serving

MIB = 1 << 20


def worker_of(path, process):
    return wait_for("it has a worker", lambda: [pid for pid, parent in serving(path).items()
                                                if parent == process.pid])[0]


def region(path, name, size):
    with open(path + "/" + name, "xb") as f:
        f.truncate(size)
    return path + "/" + name


def start(l, node, path, name):
    process = l.start(name, *command([node], path, "-f"), service=True)
    wait_for("%s has a worker" % name, lambda: worker_of(path, process), 20)
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    return process


def budget(path, size):
    os.setxattr(path, "user.gvm.local", b"%d" % size)
HEIR = struct.Struct("II")  # struct heir_msg
ASK, ALL = 1, 5


def heir_waited_for(path):
    """The name of the socket where its worker waits for one; others of the host have theirs."""
    device = os.stat(path).st_dev
    name = "%s/heir-of-%d-%d" % (SOCKETS, os.major(device), os.minor(device))
    wait_for("the worker waits for an heir", lambda: os.path.exists(name))
    return name


def heir_that_stops(path):
    """It has been sent all, and does not say that it has taken it."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(heir_waited_for(path))
    s.send(HEIR.pack(ASK, 0))
    said = None
    while said != ALL:
        said = HEIR.unpack(s.recv(HEIR.size))[0]
    return s


def is_over(s):
    try:
        return s.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def guest_is_not_delayed(path, guest):
    """The worker waits for an heir for a while, and a guest can be slower than that on a busy machine, but not always."""
    for _ in range(3):
        with heir_that_stops(path) as s:
            guest.do("check", 0, 8 * MIB, 1)
            if not is_over(s):
                return
    raise lab.Failure("the guest went on only when the heir was given up")


def survived(l, node):
    path = folder(l, "survives")
    process = start(l, node, path, "first")
    guest = Mapper(l, region(path, "ram", 16 * MIB))
    guest.process.says("uffd")
    guest.do("fill", 0, 8 * MIB, 1)
    budget(path + "/ram", 2 * MIB)
    file = l.start("file", "python3", "-c", "import os, sys, time\nfd = os.open(sys.argv[1], os.O_RDWR)\n"
                   "os.pwrite(fd, b'x' * 8192, 0)\nprint('open', flush=True)\n"
                   "while True:\n assert os.pread(fd, 8192, 0) == b'x' * 8192\n time.sleep(0.02)",
                   region(path, "file", MIB))
    file.says("^open")
    for turn in ("second", "third"):
        worker = worker_of(path, process)
        process.signal(signal.SIGKILL)
        process.wait(5)
        wait_for("the worker says so", lambda: "will not be replaced" in process.log())
        guest.do("check", 0, 8 * MIB, 1)
        expect(os.path.exists("/proc/%d" % worker), "the worker is gone")
        if turn == "second":
            guest_is_not_delayed(path, guest)
        process = start(l, node, path, turn)
        process.says("taken over from process %d" % worker)
        expect(worker not in serving(path), "the worker of before is there")
        expect(mounted(path) == 1, "%d mounts", mounted(path))
        guest.do("check", 0, 8 * MIB, 1)
        guest.do("fill", 8 * MIB, 8 * MIB, 2)
        late = Mapper(l, region(path, turn, MIB))
        late.process.says("uffd")
        late.do("fill", 0, MIB, 3)
        late.end()
        l.check(path + "/" + turn, 0, MIB, 3)
        os.kill(worker_of(path, process), signal.SIGKILL)
        guest.do("check", 0, 8 * MIB, 1)
        guest.do("check", 8 * MIB, 8 * MIB, 2)
        expect(file.running(), "who had a file open: %s", file.log())
    guest.end()
    file.signal(signal.SIGKILL)
    l.check(path + "/ram", 8 * MIB, 8 * MIB, 2)
    l.run("umount", path)
    process.succeed(20)
    nothing_left(path)


def unnoticed(l, node):
    """The next start is there before the worker, which gets no CPU, has seen its supervisor's end."""
    path = folder(l, "unnoticed")
    process = start(l, node, path, "unnoticed")
    worker = worker_of(path, process)
    os.kill(worker, signal.SIGSTOP)
    process.signal(signal.SIGKILL)
    process.wait(5)
    heir = l.start("heir", *command([node], path, "-f"), service=True)
    heir.says("waits until the worker there has seen")
    os.kill(worker, signal.SIGCONT)
    heir.says("taken over from process %d" % worker)
    region(path, "unnoticed", MIB)
    l.run("umount", path)
    heir.succeed(20)
    nothing_left(path)


def of_another_user(l, node):
    """Nobody but root, and the user whose mount it is, is given anything."""
    path = folder(l, "roots")
    process = start(l, node, path, "roots")
    worker = worker_of(path, process)
    process.signal(signal.SIGKILL)
    process.wait(5)
    wait_for("the worker says so", lambda: "will not be replaced" in process.log())
    heir_waited_for(path)
    l.run(*as_user(l, [node], path, "-f"), status=1)
    expect(os.path.exists("/proc/%d" % worker), "the worker is gone")
    l.run("stat", path)
    os.kill(worker, signal.SIGTERM)
    nothing_left(path)


def test(l):
    release = os.uname().release.split(".")
    if (int(release[0]), int(release[1])) < (6, 9):
        lab.skip("fuse-resend", "without it no worker is replaced")
    open_device(l)
    node = Node(l, "256M")
    survived(l, node)
    unnoticed(l, node)
    of_another_user(l, node)


lab.main(test)
