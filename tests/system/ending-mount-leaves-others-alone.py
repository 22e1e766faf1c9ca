#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A gvmfs that ends takes its own mount away and nothing else: not the one that was mounted at the
place since, by another gvmfs or another program, on top of it or in its place."""

import os
import signal
import socket
import time

import lab
from lab import expect, wait_for
from remote import Node
from startup import command, folder, holder, mounted, sockets

MIB = 1 << 20


def gvmfs(l, node, path, name):
    process = l.start(name, *command([node], path, "-f"), service=True)
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    return process


def successor(l, node):
    """TERM under a user, a new one at the same place, then the last user goes."""
    path = folder(l, "place")
    old = gvmfs(l, node, path, "old")
    with open(path + "/a", "xb") as f:
        f.truncate(4 * MIB)
    user = holder(l, path + "/a")
    old.signal(signal.SIGTERM)
    old.says("is in use: it ends when the last user closes it")
    expect(not mounted(path), "it is still mounted")
    new = gvmfs(l, node, path, "new")
    guest = holder(l, path + "/a")
    user.signal(signal.SIGKILL)
    expect(old.wait(20) == 0, "the old one's status is %s", old.popen.returncode)
    expect(mounted(path) == 1 and new.running(), "the new mount went with the old one")
    guest.signal(signal.SIGKILL)

    # unmounted by hand this time, and a signal comes when the place is another's
    user = holder(l, path + "/a")
    l.run("umount", "-l", path)
    newest = gvmfs(l, node, path, "newest")
    new.signal(signal.SIGTERM)
    new.says("is in use")
    expect(mounted(path) == 1, "a signal to the old one unmounted the new one")
    user.signal(signal.SIGKILL)
    new.succeed(20)
    expect(mounted(path) == 1 and newest.running(), "the new mount went with the old one")
    l.run("umount", path)
    newest.succeed(20)


def stranger(l, node):
    """Another filesystem on top: it stays, and what is below goes when it is told to, uncovered."""
    path = folder(l, "covered")
    below = gvmfs(l, node, path, "below")
    l.run("mount", "-t", "tmpfs", "stranger", path)
    open(path + "/theirs", "x").close()
    below.signal(signal.SIGTERM)
    below.says("covered by another one")
    expect(os.path.exists(path + "/theirs"), "the stranger's mount is gone")
    l.run("umount", path)
    time.sleep(1.1)  # a second request, later than one that came twice
    below.signal(signal.SIGTERM)
    below.succeed(20)
    expect(not mounted(path), "it left its mount")

    # its mount was taken away, the place given to another, and then it ends
    below = gvmfs(l, node, path, "replaced")
    user = holder(l, path + "/a")
    l.run("umount", "-l", path)
    l.run("mount", "-t", "tmpfs", "stranger", path)
    user.signal(signal.SIGKILL)
    below.succeed(20)
    expect(mounted(path) == 1, "the stranger's mount is gone")
    l.run("umount", path)


def socket_of_another(l, node):
    """The name of its socket is another's by now."""
    path = folder(l, "socket")
    mount = gvmfs(l, node, path, "socketed")
    name = next(name for name in sockets() if "-of-" not in name)
    # It listens: a name where nobody does is removed by the next gvmfs that starts on this host, in whichever test.
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as another:
        another.bind(name + ".another")
        another.listen()
        os.rename(name + ".another", name)
        l.run("umount", path)
        mount.succeed(20)
        expect(os.path.exists(name), "it removed a name that is not its own")
        os.unlink(name)


def test(l):
    node = Node(l, "128M")
    successor(l, node)
    stranger(l, node)
    socket_of_another(l, node)
    expect(not sockets(), "sockets left: %s", sockets())


lab.main(test)
