#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A `gvm run` that is killed leaves no region behind that it would have removed: its mount removes it,
or, if that was killed too, the next mount of this host. A region that was named stays, and so does one
whose mount lives, however silent it is."""

import os
import signal

import lab
from lab import children, expect, wait_for
from launcher import Launcher
from remote import Mount, Node

UP = "print('up', flush=True); time.sleep(600)"


def killed(launcher, *options):
    run = launcher.start(UP, *options)
    run.says("^up", 30)
    run.signal(signal.SIGKILL)
    run.wait(10)


def regions(node):
    return node.stats()["regions"]


def test(l):
    node = Node(l, "128M")
    mount = Mount(l, [node], name="one")
    launcher = Launcher(l, mount)
    for _ in range(3):
        killed(launcher)
        wait_for("its region is gone", lambda: not regions(node), 30)
    killed(launcher, "--region", "named")
    expect(regions(node) == 1, "the named region is gone")
    os.unlink(mount.file("named"))

    # Another mount of this host leaves it alone while its mount lives.
    relay = l.start("relay", "python3", lab.HERE + "/relay.py", str(node.port), service=True)
    port = int(relay.says(r"^relay on (\d+)").group(1))
    two = Mount(l, ["127.0.0.1:%d" % port], name="two")
    run = Launcher(l, two).start(UP)
    run.says("^up", 30)
    relay.signal(signal.SIGKILL)  # to the node, its writer is gone
    relay.wait(5)
    for _ in range(3):
        expect(len(os.listdir(mount.path)) == 1, "it shows %s", os.listdir(mount.path))
        lab.time.sleep(1.1)
    expect(regions(node) == 1, "a living guest's region was removed")

    # All of it is killed: the other mount removes the region.
    processes = [two.process.pid, *children(two.process.pid), run.pid]
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    wait_for("what the dead mount left is gone",
             lambda: os.path.exists(mount.file("look")) or not regions(node), 30, 0.3)
    wait_for("its name too", lambda: not os.listdir(mount.path), 10, 0.3)
    mount.says("this temporary region is removed")


lab.main(test)
