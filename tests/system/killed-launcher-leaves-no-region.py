#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A `gvm run` that is killed leaves no region behind that it would have removed: its mount removes it,
or, if that was killed too, the next mount of this host. A region that was named stays, and so does one
whose mount lives, however silent it is, be the host that looks a copy of its own."""

import os
import signal

import lab
from lab import children, expect, wait_for
from launcher import Launcher
from remote import Mount, Node, Relay

UP = "print('up', flush=True); time.sleep(600)"


def killed(launcher, *options):
    run = launcher.start(UP, *options)
    run.says("^up", 30)
    run.signal(signal.SIGKILL)
    run.wait(10)


def regions(node):
    return node.stats()["regions"]


def copied_host(l, node):
    """One that was installed from the same image has the same machine-id, but another start of its own: to
    it, this host looks like itself before."""
    with open(l.path("boot"), "w") as f:
        f.write("01234567-89ab-cdef-0123-456789abcdef\n")
    os.mkdir(l.path("copied"))
    copied = l.start("copied", "unshare", "--mount", "sh", "-c",
                     "mount --bind $0 /proc/sys/kernel/random/boot_id && exec \"$@\"", l.path("boot"),
                     lab.program("gvmfs"), "-f", "--nodes", node.address, l.path("copied"), service=True)
    copied.says("connected")
    # Its mount is its own: it is looked at through its root.
    seen = "/proc/%d/root%s" % (copied.pid, l.path("copied"))
    wait_for("it is mounted", lambda: os.path.ismount(seen), 10)
    for _ in range(3):
        lab.time.sleep(1.1)
        expect(len(os.listdir(seen)) == 1, "it shows %s", os.listdir(seen))
    copied.signal(signal.SIGTERM)
    copied.wait(10)


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
    relay = Relay(l, node)
    two = Mount(l, [relay.address], name="two")
    run = Launcher(l, two).start(UP)
    run.says("^up", 30)
    # Nor when somebody has read it there.
    name = wait_for("the other mount shows it", lambda: os.listdir(mount.path), 10, 0.3)[0]
    l.run("cmp", "-n", "4096", mount.file(name), "/dev/zero", status=None)
    lab.time.sleep(1.5)
    expect(os.listdir(mount.path) == [name], "read elsewhere, it is gone: %s", os.listdir(mount.path))
    relay.cut()
    for _ in range(3):
        expect(len(os.listdir(mount.path)) == 1, "it shows %s", os.listdir(mount.path))
        lab.time.sleep(1.1)
    expect(regions(node) == 1, "a living guest's region was removed")
    copied_host(l, node)
    expect(regions(node) == 1, "a copy of this host removed a living guest's region")

    # All of it is killed: the other mount removes the region.
    processes = [two.process.pid, *children(two.process.pid), run.pid]
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    wait_for("what the dead mount left is gone",
             lambda: os.path.exists(mount.file("look")) or not regions(node), 30, 0.3)
    wait_for("its name too", lambda: not os.listdir(mount.path), 10, 0.3)
    mount.says("this temporary region is removed")


lab.main(test)
