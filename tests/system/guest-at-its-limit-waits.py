#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU grows while gvm run, which would raise the limit of its group, does not come to it: there is much room on the
fast path, and once that is used up, faults wait for memory, instead of ending the guest."""

import glob
import os
import signal

import lab
from lab import expect, main, wait_for
from launcher import Launcher
from remote import Mount, Node

MIB, CHUNK, STORED = 1 << 20, 128 << 10, 12 << 20
# Once it is at its limit, whatever in it needs memory waits: so nothing is left to be made by then.
GROWS = """
import threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
libc = ctypes.CDLL(None)
own = mmap.mmap(-1, 512 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
own_at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(own)))
memory_at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
some_size, own_size, size = map(ctypes.c_size_t, (96 << 20, 512 << 20, STORED))
start_is_over()
readings(5)
grows = threading.Thread(target=libc.memset, args=(own_at, 1, own_size))
os.kill(os.getppid(), signal.SIGSTOP)
libc.memset(own_at, 1, some_size)
print('has room', flush=True)
grows.start()
signal.sigwait([signal.SIGUSR1])
libc.memset(memory_at, 1, size)
grows.join()
print('has stored', flush=True)
"""


def figure(pid, *names):
    """Of the launcher's group."""
    for path in glob.glob("/sys/fs/cgroup/**/gvm-run.%d/memory.*" % pid, recursive=True):
        if os.path.basename(path) in names:
            with open(path) as f:
                return int(f.read())
    return None


def is_at_its_limit(pid):
    return (figure(pid, "memory.usage_in_bytes", "memory.current") >
            figure(pid, "memory.limit_in_bytes", "memory.high") - MIB)


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    run = Launcher(l, mount, ram="64M", local="16M", mode="uffd").start("STORED = %d\n%s" % (STORED, GROWS))
    try:
        wait_for("gvm run stands still", lambda: lab._stat(run.pid)[1] == "T", 30)
        wait_for("there is much room", lambda: "has room" in run.log(), 30)
        wait_for("its group has no more memory", lambda: is_at_its_limit(run.pid), 30)
        os.kill(next(iter(lab.children(run.pid))), signal.SIGUSR1)
        wait_for("a fault waits for memory, or none has to",
                 lambda: "memory" in mount.log() or mount.stats()["faults"] >= STORED // CHUNK, 30)
    finally:
        os.kill(run.pid, signal.SIGCONT)
    expect(run.wait(30) == 0, "status %s: %s", run.popen.returncode, run.log())
    run.says("^has stored")
    if "may have no more memory" in mount.log():
        wait_for("it is said that there is some again", lambda: "has memory again" in mount.log())


main(test)
