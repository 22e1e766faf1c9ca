# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine may lack, and the only grounds on which a test may skip.

A test that skips says "skip: FEATURE: reason". The list says of each feature how it is found and
whether it is the hardware's (or the running kernel's), which no installation could mend: only
those may be skipped for when CI=true.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import sys


def root():
    return os.geteuid() == 0


def fuse():
    return os.access("/dev/fuse", os.R_OK | os.W_OK)


def ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def fuse_resend():
    """FUSE_NOTIFY_RESEND came with Linux 6.9; nothing but the release tells of it."""
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    return (int(major), int(minor)) >= (6, 9)


def kvm():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        return True
    except OSError:
        return False


def ptrace():
    """Whether a process may be held by the one that started it."""
    seize, libc = 0x4206, ctypes.CDLL(None)
    pid = os.fork()
    if not pid:
        while True:
            signal.pause()
    try:
        return libc.ptrace(seize, pid, None, None) == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def mseal():
    """Linux 6.10."""
    return ctypes.CDLL(None).syscall(462, 0, 0, 0) == 0


def _cgroup_memory(kind):
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields = line.split()
            at = fields.index("-")
            if fields[at + 1] == "cgroup" and kind == 1 and "memory" in fields[at + 3].split(","):
                return os.access(fields[4], os.W_OK)
            if fields[at + 1] == "cgroup2" and kind == 2:
                try:
                    with open(os.path.join(fields[4], "cgroup.controllers")) as controllers:
                        return "memory" in controllers.read().split()
                except OSError:
                    return False
    return False


# name -> (found how, is it the machine's own?)
FEATURES = {
    "fuse-resend": (fuse_resend, True),
    "cgroup-v1-memory": (lambda: _cgroup_memory(1), True),
    "cgroup-v2-memory": (lambda: _cgroup_memory(2), True),
    "ipv6": (ipv6, True),
    "kvm": (kvm, True),
    "ptrace": (ptrace, True),
    "mseal": (mseal, True),
    "fuse": (fuse, False),
    "root": (root, False),
    "sparse": (lambda: shutil.which("sparse") is not None, False),
}


def skip_allowed(output):
    """(allowed, reason) for a test that skipped with this output."""
    said = re.findall(r"^skip: ([a-z0-9-]+): (.*)$", output, re.M)
    if not said:
        return False, "skipped without naming what is missing (skip: FEATURE: reason)\n" + output
    name, reason = said[-1]
    if name not in FEATURES:
        return False, "skipped for '%s', which is no reason to skip: %s" % (name, reason)
    present, own = FEATURES[name]
    if present():
        return False, "skipped for '%s', which this machine has: %s" % (name, reason)
    if not own and os.environ.get("CI") == "true":
        return False, "skipped for '%s', which CI has to provide: %s" % (name, reason)
    return True, "%s: %s" % (name, reason)


if __name__ == "__main__":
    for feature, (found, _) in FEATURES.items():
        print("%-18s %s" % (feature, "yes" if found() else "no"))
    sys.exit(0)
