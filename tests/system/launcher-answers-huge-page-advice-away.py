#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Under `gvm run`, MADV_HUGEPAGE succeeds and has no effect, in threads and children too; other
advice still works."""

import lab
from launcher import Launcher, nothing_left
from lab import expect
from remote import Mount, Node

STAND_IN = """
import threading
libc = ctypes.CDLL(None, use_errno=True)
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
HUGEPAGE, DONTFORK = 14, 10

def flags():
    lines = open("/proc/self/smaps").read().split("%x-" % at)[1]
    return lines.split("VmFlags:")[1].split(chr(10))[0].split()

def advise():
    if libc.madvise(at, len(memory), HUGEPAGE):
        os._exit(10)

advise()
thread = threading.Thread(target=advise)
thread.start()
thread.join()
if "hg" in flags():
    os._exit(11)
if "dc" in flags() or libc.madvise(at, len(memory), DONTFORK) or "dc" not in flags():
    os._exit(12)
if libc.madvise(at, len(memory), 12345) == 0:
    os._exit(13)
pid = os.fork()
if pid == 0:
    other = mmap.mmap(-1, 4 << 20)
    there = ctypes.addressof(ctypes.c_char.from_buffer(other))
    if libc.madvise(there, 4 << 20, HUGEPAGE):
        os._exit(14)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    launcher = Launcher(l, mount)
    run = launcher.start(STAND_IN)
    expect(run.wait(20) == 0, "status %s", run.popen.returncode)
    nothing_left(launcher, run)


lab.main(test)
