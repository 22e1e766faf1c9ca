# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs that nobody reads: a pipe that is full, and a syslog socket that stands still."""

import fcntl
import os
import re
import socket
import subprocess

from lab import program, wait_for


class Pipe:
    """A named pipe, full from the start; a command of ours gets it as its standard error."""

    def __init__(self, lab):
        self.path = lab.path("unread")
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        self.fill()

    def fill(self):
        try:
            while True:
                os.write(self.fd, b"x" * 64)
        except BlockingIOError:
            pass

    def command(self, name, *arguments):
        return ["sh", "-c", 'exec "$0" "$@" 2>"%s"' % self.path, program(name), *arguments]

    def read(self, pattern, seconds=30):
        """Empties it until what comes out matches; gives all of that."""
        said = b""

        def look():
            nonlocal said
            try:
                said += os.read(self.fd, 65536)
            except BlockingIOError:
                pass
            return re.search(pattern, said.decode())
        wait_for("the pipe says '%s'" % pattern, look, seconds)
        return said.decode().lstrip("x")


class Syslog:
    """A /dev/log of this mount namespace whose reader does nothing until it is told to."""

    NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("urandom", 1, 9), ("random", 1, 8),
             ("tty", 5, 0), ("fuse", 10, 229), ("userfaultfd", 10, 257), ("kvm", 10, 232))

    def __init__(self, lab):
        folder = lab.path("dev")
        os.mkdir(folder)
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
        for name, major, minor in self.NODES:
            if os.path.exists("/dev/" + name) or name == "userfaultfd":
                os.mknod(os.path.join(folder, name), 0o20666, os.makedev(major, minor))
                os.chmod(os.path.join(folder, name), 0o666)
        os.mkdir(os.path.join(folder, "shm"), 0o1777)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(folder, "log"))
        self.socket.setblocking(False)
        subprocess.run(["mount", "--bind", folder, "/dev"], check=True)

    def read(self, pattern, seconds=30):
        """Takes its messages until one matches; gives all of them."""
        said = []

        def look():
            try:
                while True:
                    said.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return any(re.search(pattern, text) for text in said)
        wait_for("syslog is told '%s'" % pattern, look, seconds)
        return said
