# SPDX-License-Identifier: GPL-2.0-or-later
"""`gvm run` with a stand-in for QEMU: a script that gets the rewritten command line and does as its
environment says."""

import glob
import os

from lab import expect, program

STAND_IN = '''#!/usr/bin/env python3
import ctypes, glob, mmap, os, signal, sys, time
argv = sys.argv
backend = argv[argv.index("-object") + 1]
path = backend.split("mem-path=")[1].split(",")[0]
f = open(path, "r+b")
memory = mmap.mmap(f.fileno(), 0)
memory[:6] = b"marked"
def switches():
    with open("/proc/%d/status" % os.getppid()) as f:
        return int(f.read().partition("\\nvoluntary_ctxt_switches:")[2].split()[0])
def readings(count):
    """Until gvm run, which sleeps after each, has looked so often at what its group has."""
    end = switches() + count
    while switches() < end:
        time.sleep(0.02)
def limit():
    """Of the group in which this runs, in MiB."""
    with open("/proc/self/mountinfo") as f:
        tops = [line.split()[4] for line in f if " - cgroup" in line]
    for path in [path for top in tops for depth in range(6) for name in ("memory.limit_in_bytes", "memory.high")
                 for path in glob.glob("%s%s/gvm-run.%d/%s" % (top, "/*" * depth, os.getppid(), name))]:
        with open(path) as f:
            return int(f.read()) >> 20
    sys.exit("there is no group")
def start_is_over():
    """The kernel has another limit than that of the start, which leaves 128 MiB of room."""
    while limit() == int(os.environ["LOCAL"][:-1]) + 128:
        time.sleep(0.02)
exec(os.environ.get("STAND_IN", ""))
'''


class Launcher:
    def __init__(self, lab, mount, ram="64M", local="32M", mode="fuse"):
        self.lab, self.mount, self.ram, self.local, self.mode = lab, mount, ram, local, mode
        self.stand_in = lab.path("stand-in")
        with open(self.stand_in, "w") as f:
            f.write(STAND_IN)
        os.chmod(self.stand_in, 0o755)

    def start(self, what, *options, ram=None, args=()):
        return self.lab.start("gvm-run", program("gvm"), "run", "--local", self.local, "--mode",
                              self.mode, "--mount", self.mount.path, *options, "--", self.stand_in, "-m",
                              ram or self.ram, *args, env={"STAND_IN": what, "LOCAL": self.local})

    def regions(self):
        return sorted(os.listdir(self.mount.path))


def groups(pid):
    """The cgroups that a gvm run of this pid made."""
    with open("/proc/self/mountinfo") as f:
        tops = [line.split()[4] for line in f if " - cgroup" in line]
    return [path for top in tops for depth in range(6)
            for path in glob.glob(top + "/*" * depth + "/gvm-run.%d" % pid)]


def nothing_left(launcher, run, regions=()):
    expect(not groups(run.pid), "left behind: %s", groups(run.pid))
    expect(launcher.regions() == sorted(regions), "regions %s, expected %s", launcher.regions(),
           list(regions))
