#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures with which `gvm run` ends are what others read: the RAM that was on this host, QEMU's
own memory, and what was fetched and written back by this guest and not by the one before; on the
fast path and on a mapped file, beside a large disk image, of a guest that ended at once, and of memory
that was there between two readings only."""

import os
import re
import signal

import lab
from lab import expect
from launcher import Launcher
from remote import Mount, Node

KIB, MIB = 1 << 10, 1 << 20
UNITS = {"bytes": 1, "KiB": KIB, "MiB": MIB, "GiB": 1 << 30}

# Own memory up to a bound, then less; the region touched in part, or several times as much as the
# budget; and a file that is no RAM. `most`: the most of the region that was here after any step. `rest`: what was here
# after gvm run had looked again (it does so each second), while nothing more came.
STAND_IN = """
import random
libc, seen = ctypes.CDLL(None), ctypes.create_string_buffer(len(memory) // 4096)
def here():
    libc.mincore(ctypes.byref(ctypes.c_char.from_buffer(memory)), ctypes.c_size_t(len(memory)), seen)
    return sum(map((1).__and__, seen.raw)) * 4096
def own_now():
    fields = dict(line.split(':') for line in open('/proc/self/smaps_rollup') if ':' in line)
    return int(fields['Anonymous'].split()[0])
own = [random.randbytes(1 << 20) for _ in range(OWN)]
own_most = own_now()
start_is_over()
readings(5)
del own
most = 0
for write in (True, False):
    for at in range(0, TOUCH << 20, 4096):
        mark = at.to_bytes(8, 'little')
        if write:
            memory[at:at + 8] = mark
        elif memory[at:at + 8] != mark:
            sys.exit('%d was lost' % at)
        if at % (STEP * 4096) == 0:
            most = max(most, here())
most = max(most, here())
time.sleep(1)
readings(5)
rest = here()
with open(DISK, 'rb') as f:
    while f.read(1 << 20):
        pass
readings(5)
print('own', own_most << 10, 'most', most, 'rest', rest, flush=True)
"""
STEP = 64  # pages
# What may come and go between two looks at what is here: a step's pages, and what is read ahead of them.
BETWEEN = 4 * MIB


# Memory that no reading of the group can see, since gvm run stands still meanwhile.
UNSEEN = """
os.kill(os.getppid(), signal.SIGSTOP)
own = mmap.mmap(-1, 24 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, 24 << 20, 4096):
    own[at] = 1
own.close()
print('unseen', flush=True)
"""


def figure(text, pattern):
    found = re.search(pattern, text)
    expect(found, "no figures: %s", text)
    return float(found.group(1)) * UNITS[found.group(2)]


def figures(run):
    log = run.log()
    return (figure(log, r"at most ([\d.]+) (\w+) of the RAM"), figure(log, r"beside ([\d.]+) (\w+) of QEMU"),
            int(re.search(r"(\d+) chunks fetched", log).group(1)),
            int(re.search(r"(\d+) written back", log).group(1)))


def within(what, is_, least, most):
    expect(least <= is_ <= most, "%s: %.1f MiB are said, others read %.1f to %.1f MiB", what, is_ / MIB, least / MIB,
           most / MIB)


def guest(launcher, mount, own, touch, disk, name=None):
    """What is said, and what the mount has counted since before."""
    before = mount.stats(name) if name and name in launcher.regions() else {}
    run = launcher.start("OWN = %d; TOUCH = %d; DISK = %r; STEP = %d\n%s" % (own, touch, disk, STEP, STAND_IN),
                         *(["--region", name] if name else []))
    expect(run.wait(60) == 0, "status %s: %s", run.popen.returncode, run.log())
    read, most, rest = map(int, re.search(r"^own (\d+) most (\d+) rest (\d+)", run.log(), re.M).groups())
    here, said, fetched, written = figures(run)
    launcher.lab.log("%s: own %.1f of %.1f MiB, RAM %.1f of %.1f to %.1f MiB, %d fetched, %d written", launcher.mode,
                     said / MIB, read / MIB, here / MIB, rest / MIB, most / MIB, fetched, written)
    # page tables and the rest of the kernel's memory come on top
    within("own memory", said, read - 3 * MIB, read + 9 * MIB)
    within("RAM, " + launcher.mode, here, rest - MIB, most + BETWEEN)
    if name:
        after = mount.stats(name)
        for what, number in (("chunks_fetched", fetched), ("chunks_written", written)):
            expect(number <= after[what] - before.get(what, 0), "%s: %d are said, were %d and are %d", what, number,
                   before.get(what, 0), after[what])
    return fetched, written


def unseen(l, mount, mode):
    """With a budget that the group never reaches, however late gvm run sees that it has grown."""
    launcher = Launcher(l, mount, ram="128M", local="128M", mode=mode)
    run = launcher.start(UNSEEN)
    run.says("^unseen")
    lab.wait_for("the guest has ended", lambda: not lab.children(run.pid))
    os.kill(run.pid, signal.SIGCONT)
    expect(run.wait(20) == 0, "status %s: %s", run.popen.returncode, run.log())
    _, said, _, _ = figures(run)
    expect(24 * MIB < said < 24 * MIB + 24 * MIB, "24 MiB that no reading saw: %.1f MiB are said", said / MIB)


def test(l):
    mount = Mount(l, [Node(l, "512M")])
    disk = l.path("disk")
    with open(disk, "wb") as f:
        f.write(b"d" * 80 * MIB)
    for mode in ("fuse", "uffd"):
        launcher = Launcher(l, mount, ram="128M", local="32M", mode=mode)
        guest(launcher, mount, 60, 16, disk)
        fetched, written = guest(launcher, mount, 20, 96, disk, "kept-" + mode)
        expect(written >= 96 * 8, "%d chunks written of %d", written, 96 * 8)
        # the next guest of the same region does less, and is not charged with what that one did
        fetched, written = guest(launcher, mount, 20, 8, disk, "kept-" + mode)
        expect(written < 96 * 8 and fetched, "%d written, %d fetched for 8 MiB", written, fetched)
        run = l.start("gvm-run", lab.program("gvm"), "run", "--local", "128M", "--mode", mode, "--mount",
                      mount.path, "--", "qemu-system-x86_64", "-m", "64M", "-no-such-option")
        expect(run.wait(20) == 1, "status %s", run.popen.returncode)
        here, own, _, _ = figures(run)
        expect(not here and MIB // 2 < own < 64 * MIB, "%d and %d bytes of a QEMU that ended at once", here,
               own)
        unseen(l, mount, mode)


lab.main(test)
