#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`gvm bench table` has figures for each mode that can be had on this machine, and for any other the reason why not; when it
is done or stopped half-way, no process, mount or folder of it is left."""

import json
import os
import shutil
import signal

import lab
from lab import descendants, expect, program, wait_for

MODES = [(mode, accel) for mode in ("memory-only, fast path", "memory-only, mapped file", "full-share")
         for accel in ("kvm", "tcg")]


def mounts_below(folder):
    with open("/proc/self/mounts") as f:
        return [line.split()[1] for line in f if line.split()[1].startswith(folder)]


def nothing_left(l):
    wait_for("nothing of it runs", lambda: not descendants(), 20)
    expect(not mounts_below(l.folder), "mounts %s", mounts_below(l.folder))
    left = [name for name in os.listdir(l.folder) if name.startswith("gvm-bench.")]
    expect(not left, "folders %s", left)


def table(l, name, **env):
    """All that it says; gives the modes that can be had."""
    run = l.start("table", program("gvm"), "bench", "table", "--quick", "--bindir", lab.BUILD, "--json", l.path(name),
                  env={"TMPDIR": l.folder, **env})
    run.succeed(60)
    with open(l.path(name)) as f:
        found = json.load(f)
    nothing_left(l)
    l.log("%s", found)
    expect([(row["mode"], row["accel"]) for row in found["modes"]] == MODES, "modes %s", found["modes"])
    for figure in ("density", "active", "fault_p99_us"):
        expect(found[figure] > 0, "%s: %s", figure, found)
    expect(found["density"] >= 1, "%s", found)
    for row in found["modes"]:
        figures = [row.get(figure) for figure in ("cpu", "memory", "overall")]
        if "absent" in row:
            expect(row["absent"] and figures == [None] * 3, "figures of what is absent: %s", row)
        else:
            least, most = sorted(figures[:2])
            expect(0 < least * 0.999 <= figures[2] <= most * 1.001, "%s", row)
    return {(row["mode"], row["accel"]) for row in found["modes"] if "absent" not in row}


def test(l):
    # Without KVM, which below another hypervisor takes long to boot a guest.
    if os.path.exists("/dev/kvm"):
        l.run("mount", "--bind", "/dev/null", "/dev/kvm")
    had = table(l, "result")
    wanted = {(mode, "tcg") for mode, _ in MODES if mode != "full-share"}
    expect(had == wanted, "measured are %s, not %s", sorted(had), sorted(wanted))
    # Without QEMU there is no guest; what needs none is measured.
    os.mkdir(l.path("bin"))
    for name in ("umount", "fusermount3"):
        if shutil.which(name):
            os.symlink(shutil.which(name), os.path.join(l.path("bin"), name))
    expect(not table(l, "without", PATH=l.path("bin")), "guests without QEMU")
    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 1)):
        run = l.start("table", program("gvm"), "bench", "table", "--quick", "--bindir", lab.BUILD,
                      env={"TMPDIR": l.folder})
        wait_for("it mounts", lambda: mounts_below(l.folder), 30)
        run.signal(number)
        expect(run.wait(30) == status, "status %s", run.popen.returncode)
        nothing_left(l)


lab.main(test)
