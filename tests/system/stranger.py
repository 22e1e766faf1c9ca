#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user without rights who wants to hold gvmfs up, as a program; as a module, the test's end of it.

    stranger.py SOCKET FILE PID MEANS COUNT

FILE is one of his own filesystem (unanswering.c, process PID). MEANS is how its descriptor gets to gvmfs:
    queued  in a socket that is in a message which is never read
    hello   as the file that is to be mapped, COUNT times
    beside  beside another one, in a first word that has two
    nonsense COUNT connections a second on which something is said that is to be logged
    asks    COUNT connections a second on which a file of another filesystem is shown; says each second
            "answered N": how many of them so far have had a conversation (others are refused without)
    regions as COUNT regions FILE-N of gvmfs's, each to be mapped as a whole; PID is the first N. Says of each
            "answered TYPE TEXT", with what gvmfs says to it first
    silent  COUNT connections are held on which nothing is said, and opened again when they are closed
It says "sent" when it has done so, and waits.
"""

import ctypes
import errno
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

USER = 65534
OTHERS = 1, 2  # fusermount3 wants such as have a name

# gvm_attach.h
MESSAGE = struct.Struct("<IHHQQQQIi208s")
MAGIC, VERSION = 0x416d7647, 1
HELLO = 1
PR_SET_PDEATHSIG = 1


class Stranger:
    """The filesystem and its user, which is not gvmfs's; without means, the user alone."""

    def __init__(self, lab, region, means, count=1, user=USER):
        self.lab, self.folder = lab, lab.path("strange-%d" % len(lab.processes))
        self.user = user
        os.mkdir(self.folder)
        os.chmod(lab.folder, 0o755)
        os.chown(self.folder, user, user)
        self.server = self._start("unanswering", self.own("unanswering"),
                                  "flush" if means in ("hello", "beside") else "write", self.folder)
        self.server.says("^mounted")
        self.process = None
        if not means:
            return
        self.process = self._start(
            "stranger", sys.executable, self._copy(__file__),
            os.getxattr(region, "user.gvm.attach").decode(), self.folder + "/f",
            str(self.server.pid), means, str(count))
        self.process.says("^sent")

    def own(self, name):
        """A program where he may run it: the build's folder may not be his to look into."""
        from lab import program
        path = self.lab.path(name)
        if not os.path.exists(path):
            shutil.copy(program(name), path)
        return path

    def _copy(self, path):
        own = self.lab.path("stranger.py")
        shutil.copy(path, own)
        return own

    def _start(self, name, *command):
        return self.lab.start(name, "setpriv", "--reuid=%d" % self.user, "--regid=%d" % self.user,
                              "--clear-groups", *command)

    def end(self):
        """Whatever waits for his filesystem goes on."""
        if self.process:
            self.process.signal(signal.SIGKILL)
        self.server.signal(signal.SIGKILL)
        self.server.wait(10)
        subprocess.run(["umount", "-l", self.folder], stderr=subprocess.DEVNULL)


def hello(size=4096):
    return MESSAGE.pack(MAGIC, VERSION, HELLO, 0, 0, 0, size, 0, 0, b"")


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)
    return s


def fall_silent(pid):
    os.kill(pid, signal.SIGUSR1)
    time.sleep(0.1)


def queue_and_leave(path, file, go):
    """In a process of its own, since either end may be the last to let go, and then waits itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    fd = os.open(file, os.O_RDWR)
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(a, [b"x"], [fd])
    os.close(fd)
    os.read(go, 1)
    s = connect(path)
    s.send(b"garbage")  # ends the conversation; the next one is not read any more
    try:
        socket.send_fds(s, [hello()], [b.fileno()])
    except OSError:
        os.kill(os.getpid(), signal.SIGSTOP)  # gvmfs was faster
    os._exit(0)


def queued(path, file, pid):
    tries = []
    for _ in range(20):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            queue_and_leave(path, file, reading)
        tries.append((child, writing))
    time.sleep(0.5)
    fd = os.open(file, os.O_RDWR)
    os.pwrite(fd, b"dirty" * 1000, 0)
    fall_silent(pid)
    for child, writing in tries:
        os.write(writing, b"x")
        for _ in range(20):
            time.sleep(0.02)
            if os.waitpid(child, os.WNOHANG)[0]:
                return fd
    return fd


def many_hellos(path, file, pid, count, beside=False):
    fd = os.open(file, os.O_RDWR)
    fall_silent(pid)
    kept = []
    for _ in range(count):
        try:
            s = connect(path)
            socket.send_fds(s, [hello()], [0, fd] if beside else [fd])
            kept.append(s)
        except OSError as why:
            print(why, flush=True)
    return [kept, fd]


def regions(path, prefix, first, count):
    """As far as gvmfs lets a client who then says no more."""
    kept = []
    for n in range(first, first + count):
        fd = os.open("%s-%d" % (prefix, n), os.O_RDWR)
        s = connect(path)
        socket.send_fds(s, [hello(os.fstat(fd).st_size)], [fd])
        kept.append((s, fd))
    for s, _ in kept:
        message, fds, _, _ = socket.recv_fds(s, MESSAGE.size, 8)
        said = MESSAGE.unpack(message)
        print("answered %d %s" % (said[2], said[9].rstrip(b"\0").decode()), flush=True)
        for fd in fds:
            os.close(fd)
    return kept


def silent(path, count):
    kept, said = [], False
    while True:
        while len(kept) < count:
            kept.append(connect(path))
            kept[-1].setblocking(False)
        if not said:
            print("sent", flush=True)
        said = True
        time.sleep(0.05)
        kept = [s for s in kept if not closed(s)]


def nonsense(path, count):
    print("sent", flush=True)
    while True:
        with connect(path) as s:
            s.send(b"nonsense")
        time.sleep(1 / count)


def asks(path, count):
    """In due time, however long each call takes."""
    kept, answered, began = [], 0, time.monotonic()
    fd = os.open("/dev/null", os.O_RDWR)
    print("sent", flush=True)
    for n in range(1, 1 << 30):
        kept.append(connect(path))
        kept[-1].setblocking(False)
        try:
            socket.send_fds(kept[-1], [hello()], [fd])
        except OSError:
            pass  # it was turned away at once
        ready, _, _ = select.select(kept, [], [], 0)
        for s in ready:
            kept.remove(s)
            answered += error(s) == -errno.EINVAL
        if n % count == 0:
            print("answered %d of %d" % (answered, n), flush=True)
        time.sleep(max(0, began + n / count - time.monotonic()))


def error(s):
    """What it is refused with, at once; None: it is closed without that."""
    try:
        said = s.recv(MESSAGE.size)
    except OSError:
        return None
    return MESSAGE.unpack(said)[8] if said else None


def closed(s):
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main():
    path, file, pid, means, count = sys.argv[1:]
    if means == "silent":
        silent(path, int(count))
    if means == "asks":
        asks(path, int(count))
    if means == "nonsense":
        nonsense(path, int(count))
    held = regions(path, file, int(pid), int(count)) if means == "regions" else \
        queued(path, file, int(pid)) if means == "queued" else \
        many_hellos(path, file, int(pid), int(count), means == "beside")
    print("sent", flush=True)
    time.sleep(3600)
    del held


if __name__ == "__main__":
    main()
