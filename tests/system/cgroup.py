# SPDX-License-Identifier: GPL-2.0-or-later
"""A memory cgroup with a hard limit, by whichever version of cgroups the machine has."""

import os
import time

from counters import numbers


class NoMemoryController(Exception):
    pass


def _hierarchy():
    """(version, folder) where the memory controller is."""
    unified = None
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields = line.split()
            at = fields.index("-")
            if fields[at + 1] == "cgroup" and "memory" in fields[at + 3].split(","):
                return 1, fields[4]
            if fields[at + 1] == "cgroup2":
                unified = fields[4]
    if unified:
        with open(os.path.join(unified, "cgroup.controllers")) as f:
            if "memory" in f.read().split():
                return 2, unified
    raise NoMemoryController("no memory controller among the cgroups")


class Cgroup:
    count = 0

    def __init__(self, limit):
        self.version, top = _hierarchy()
        Cgroup.count += 1
        self.path = os.path.join(top, "gvm-test-%d-%d" % (os.getpid(), Cgroup.count))
        if self.version == 2:
            with open(os.path.join(top, "cgroup.subtree_control"), "w") as f:
                f.write("+memory")
        os.mkdir(self.path)
        self.limit = limit
        if self.version == 2:
            self._set("memory.max", limit)
            self._set("memory.swap.max", 0, optional=True)
        else:
            self._set("memory.limit_in_bytes", limit)
            self._set("memory.swappiness", 0, optional=True)

    def _set(self, name, value, optional=False):
        try:
            with open(os.path.join(self.path, name), "w") as f:
                f.write(str(value))
        except OSError:
            if not optional:
                raise

    def _get(self, name):
        with open(os.path.join(self.path, name)) as f:
            return f.read()

    def enter(self):
        """For the child, between fork and exec."""
        fd = os.open(os.path.join(self.path, "cgroup.procs"), os.O_WRONLY)
        os.write(fd, b"0")
        os.close(fd)

    def usage(self):
        return int(self._get("memory.current" if self.version == 2 else "memory.usage_in_bytes"))

    def peak(self):
        """The most that was ever in it, or None where the kernel does not tell (v2 before 5.19)."""
        try:
            return int(self._get("memory.peak" if self.version == 2 else
                                 "memory.max_usage_in_bytes"))
        except FileNotFoundError:
            return None

    def stat(self):
        return numbers(self._get("memory.stat"))

    def oom_kills(self):
        text = self._get("memory.events" if self.version == 2 else "memory.oom_control")
        return numbers(text).get("oom_kill", 0)

    def remove(self):
        for _ in range(100):
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.05)
