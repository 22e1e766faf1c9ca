# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts that seal, and a node that lies (liar.c), as the tests handle them."""

import os
import re
import signal

from lab import program, wait_for


def key_file(lab, name="seal.key"):
    """The lab's key of that name."""
    path = lab.path(name)
    if os.path.exists(path):
        return path
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as f:
        f.write(os.urandom(32).hex() + "\n")
    return path


class Liar:
    """In place of a node: honest until it is told otherwise."""

    def __init__(self, lab, node):
        self.how_path = lab.path("how-%d" % len(lab.processes))
        self.asked = 0
        self.lies("honest")
        self.process = lab.start("liar", program("liar"), node.port, self.how_path, service=True)
        self.port = int(self.process.says(r"^liar on (\d+)").group(1))

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def lies(self, how):
        with open(self.how_path + ".new", "w") as f:
            f.write(how)
        os.rename(self.how_path + ".new", self.how_path)

    def counts(self):
        """(sealed blocks that hosts sent, nonces seen with two contents, blocks not sealed, lies told)"""
        self.process.signal(signal.SIGUSR1)
        self.asked += 1

        def said():
            lines = re.findall(r"^counts (\d+) (\d+) (\d+) (\d+)$", self.process.log(), re.M)
            return lines if len(lines) == self.asked else None
        return tuple(int(n) for n in wait_for("the liar counts", said, pause=0.01)[-1])


def holds(pid, bytes_):
    """Whether a process has these bytes anywhere in its memory."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            at, end = (int(n, 16) for n in place.split("-"))
            rest = b""
            while at < end:
                try:
                    memory.seek(at)
                    part = memory.read(min(end - at, 1 << 22))
                except OSError:
                    break
                if not part:
                    break
                if bytes_ in rest + part:
                    return True
                rest = part[-len(bytes_):]
                at += len(part)
    return False
