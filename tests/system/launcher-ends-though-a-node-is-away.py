#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A `gvm run` whose guest ended on the fast path while a node is away can be ended too, and says what
stays on the nodes; when the node is back what was kept has what the guest wrote. A command that asks a
dead mount says what to do."""

import os
import signal
import time

import lab
from lab import expect, wait_for
from launcher import Launcher
from remote import Mount, Node

WORK = """
for at in range(0, 60 << 20, 4096):
    memory[at:at + 8] = at.to_bytes(8, 'little')
print('written', flush=True)
time.sleep(600)
"""
CHECK = "sys.exit(any(memory[at:at + 8] != at.to_bytes(8, 'little') for at in range(4096, 60 << 20, 4096)))"


def test(l):
    node = Node(l, "256M")
    mount = Mount(l, [node])
    launcher = Launcher(l, mount, mode="uffd")
    run = launcher.start(WORK, "--region", "kept")
    run.says("^written", 60)
    node.stop()
    run.signal(signal.SIGTERM)
    wait_for("the guest has ended", lambda: not lab.children(run.pid), 30)
    time.sleep(1)
    expect(run.running(), "it did not wait for the region:\n%s", run.log())
    run.signal(signal.SIGTERM)
    expect(run.wait(20) == 128 + signal.SIGTERM, "status %s: %s", run.popen.returncode, run.log())
    expect("gvmfs goes on to write it back" in run.log(), "nothing is said: %s", run.log())
    node.go_on()
    mount.drained("kept")
    after = launcher.start(CHECK, "--region", "kept")
    expect(after.wait(60) == 0, "the guest's memory is not what it wrote: %s", after.log())

    for pid in [mount.process.pid, *lab.children(mount.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    for words in (["stat", mount.path], ["stat", mount.file("kept")], ["region", "local", mount.file("kept")]):
        asked = l.start("gvm", lab.program("gvm"), *words)
        expect(asked.wait(20) == 1 and "start it again in the same place" in asked.log(), "%s: %s", words,
               asked.log())


lab.main(test)
