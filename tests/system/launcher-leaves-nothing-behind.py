#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""However a guest ends, `gvm run` passes its status on, and its cgroup and a region that was not to
be kept are gone; a kept one has what the guest wrote."""

import os
import signal

import lab
from lab import expect, wait_for
from launcher import Launcher, groups, nothing_left
from remote import Mount, Node


def test(l):
    node = Node(l, "256M")
    mount = Mount(l, [node])
    launcher = Launcher(l, mount)

    run = launcher.start("sys.exit(7)")
    expect(run.wait(20) == 7, "status %s", run.popen.returncode)
    nothing_left(launcher, run)

    run = launcher.start("os.kill(os.getpid(), signal.SIGKILL)")
    expect(run.wait(20) == 128 + signal.SIGKILL, "status %s", run.popen.returncode)
    nothing_left(launcher, run)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        run = launcher.start("print('up', flush=True); time.sleep(60)")
        run.says("^up")
        expect(len(groups(run.pid)) == 1, "its groups: %s", groups(run.pid))
        expect(len(launcher.regions()) == 1, "its regions: %s", launcher.regions())
        run.signal(number)
        # python turns SIGINT into an exception
        expect(run.wait(20) in (128 + number, 1), "status %s", run.popen.returncode)
        nothing_left(launcher, run)

    # what the guest started goes with it
    run = launcher.start("os.fork() or time.sleep(60); sys.exit(0)")
    expect(run.wait(20) == 0, "status %s", run.popen.returncode)
    nothing_left(launcher, run)

    run = l.start("gvm-run", lab.program("gvm"), "run", "--local", "32M", "--mount", mount.path,
                  "--", "/no/such/qemu")
    expect(run.wait(20) == 1, "status %s", run.popen.returncode)
    nothing_left(launcher, run)

    # a killed launcher takes its guest along; the next one sweeps up: ours, or one of another test that begins now
    run = launcher.start("print('up', os.getpid(), flush=True); time.sleep(60)", "--region", "kept")
    pid = int(run.says(r"^up (\d+)").group(1))
    run.signal(signal.SIGKILL)
    run.wait(5)
    wait_for("the guest ends", lambda: not os.path.exists("/proc/%d/exe" % pid), 10)
    after = launcher.start("sys.exit(memory[:6] != b'marked')", "--region", "kept")
    expect(after.wait(20) == 0, "status %s", after.popen.returncode)
    nothing_left(launcher, run, ["kept"])

    run = launcher.start("sys.exit(0)", "--region", "kept", ram="32M")
    expect(run.wait(20) == 1 and "asks for 32 MiB" in run.log(), "another size was taken: %s",
           run.log())
    run = launcher.start("sys.exit(0)", "--keep", args=("-name", "my guest"))
    expect(run.wait(20) == 0, "status %s", run.popen.returncode)
    nothing_left(launcher, run, ["kept", "my-guest"])
    mount.unmount()
    mount = Mount(l, [node])
    with open(mount.file("my-guest"), "rb") as f:
        expect(f.read(6) == b"marked", "the kept region lost what was written")


lab.main(test)
