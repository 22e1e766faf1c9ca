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
# budget; and a file that is no RAM.
STAND_IN = """
import random
def own_now():
    fields = dict(line.split(':') for line in open('/proc/self/smaps_rollup') if ':' in line)
    return int(fields['Anonymous'].split()[0])
own = [random.randbytes(1 << 20) for _ in range(OWN)]
most = own_now()
time.sleep(1)  # QEMU's start is over: until then the limit leaves more room
readings(5)
del own
for at in range(0, TOUCH << 20, 4096):
    memory[at:at + 8] = at.to_bytes(8, 'little')
with open(DISK, 'rb') as f:
    while f.read(1 << 20):
        pass
readings(5)
print('own', most << 10, flush=True)
"""


# Memory that no reading of the group can see, since gvm run stands still meanwhile.
UNSEEN = """
os.kill(os.getppid(), signal.SIGSTOP)
own = mmap.mmap(-1, 24 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, 24 << 20, 4096):
    own[at] = 1
own.close()
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


def near(what, is_, wanted, tolerance):
    expect(abs(is_ - wanted) <= tolerance, "%s: %.1f MiB are said, others read %.1f MiB", what, is_ / MIB,
           wanted / MIB)


def guest(launcher, own, touch, disk, *options):
    run = launcher.start("OWN = %d; TOUCH = %d; DISK = %r\n%s" % (own, touch, disk, STAND_IN), *options)
    expect(run.wait(60) == 0, "status %s: %s", run.popen.returncode, run.log())
    read = int(re.search(r"^own (\d+)", run.log(), re.M).group(1))
    here, said, fetched, written = figures(run)
    launcher.lab.log("%s: own %.1f of %.1f MiB, RAM %.1f of %d MiB, %d fetched, %d written", launcher.mode,
                     said / MIB, read / MIB, here / MIB, touch, fetched, written)
    # page tables and the rest of the kernel's memory come on top
    near("own memory", said, read + 3 * MIB, 6 * MIB)
    return here, fetched, written


def unseen(launcher):
    run = launcher.start(UNSEEN)
    lab.wait_for("the guest has ended", lambda: lab._stat(run.pid)[1] == "T" and not lab.children(run.pid))
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
        here, _, _ = guest(launcher, 60, 16, disk)
        near("RAM, " + mode, here, 16 * MIB, 2 * MIB)
        here, _, written = guest(launcher, 20, 96, disk, "--region", "kept-" + mode)
        near("RAM, " + mode, here, 32 * MIB, 20 * MIB if mode == "fuse" else 2 * MIB)
        expect(written >= 96 * 8, "%d chunks written of %d", written, 96 * 8)
        # the next guest of the same region does less, and is not charged with what that one did
        here, fetched, written = guest(launcher, 20, 8, disk, "--region", "kept-" + mode)
        near("RAM, " + mode, here, 8 * MIB, 2 * MIB)
        expect(written <= 8 * 8 + 2 and fetched <= 8 * 8 + 40, "%d written, %d fetched for 8 MiB", written,
               fetched)
        run = l.start("gvm-run", lab.program("gvm"), "run", "--local", "32M", "--mode", mode, "--mount",
                      mount.path, "--", "qemu-system-x86_64", "-m", "64M", "-no-such-option")
        expect(run.wait(20) == 1, "status %s", run.popen.returncode)
        here, own, _, _ = figures(run)
        unseen(launcher)
        expect(not here and MIB // 2 < own < 64 * MIB, "%d and %d bytes of a QEMU that ended at once", here,
               own)


lab.main(test)
