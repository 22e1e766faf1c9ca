#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""After gvmfs was killed as a whole, the next start takes the dead mount away, whoever still has a
file or its working directory in it, and however many lie on top of each other: as often as a service
manager tries. A mount that lives, or may, is refused with a sentence."""

import os
import signal

import lab
from lab import expect
from remote import Node
from startup import (USER, as_user, command, folder, holder, kill_whole, mounted, nothing_left,
                     open_device, serving, sockets)

MIB = 1 << 20


def start(l, node, path, *options):
    l.run(*command([node], path, *options), seconds=30)
    count = mounted(path.rstrip("/"))
    expect(count == 1, "%d mounts at the place", count)


def restart_always(l, node):
    path = folder(l, "again")
    start(l, node, path)
    with open(path + "/kept", "xb") as f:
        f.truncate(4 * MIB)
    l.write(path + "/kept", 0, 4 * MIB, 1)
    holders = []
    for _ in range(3):
        holders.append(holder(l, path + "/kept"))
        kill_whole(path)
        start(l, node, path)
        l.check(path + "/kept", 0, 4 * MIB, 1)
    kill_whole(path)
    start(l, node, path + "/")  # as a shell completes it
    for process in holders:
        process.signal(signal.SIGKILL)
    l.run("umount", path)


def stacked(l, node):
    """Dead ones on top of each other, as a restart that did not look could leave them."""
    path, other = folder(l, "stack"), folder(l, "other")
    start(l, node, path)
    start(l, node, other)
    l.run("mount", "--move", other, path)
    expect(mounted(path) == 2, "%d mounts", mounted(path))
    kill_whole(path)
    kill_whole(other)
    start(l, node, path)
    l.run("umount", path)


def living(l, node):
    path = folder(l, "living")
    start(l, node, path)
    names = sockets()
    expect(len([name for name in names if "upgrade-of-" not in name]) == 1 and len(names) == 2, "its sockets: %s", names)
    said = l.run(*command([node], path), status=1)
    expect("is mounted there already" in said and said.count("\n") == 1, "it said: %s", said)
    for pid in serving(path):
        os.kill(pid, signal.SIGSTOP)
    said = l.run(*command([node], path), status=1)
    expect("does not answer" in said and said.count("\n") == 1, "it said: %s", said)
    for pid in serving(path):
        os.kill(pid, signal.SIGCONT)
    expect(mounted(path) == 1 and os.path.isdir(path), "the living mount is gone")
    l.run("umount", path)
    nothing_left(path, names)


def by_a_user(l, node):
    """As one who may not mount: fusermount3 does it."""
    open_device(l)
    path = folder(l, "users")
    os.chown(path, USER, USER)
    for _ in range(2):
        l.run(*as_user(l, [node], path))
        expect(mounted(path) == 1, "%d mounts", mounted(path))
        l.run("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "stat", path)
        kill_whole(path)
    # root cleans up what a user left, too
    start(l, node, path)
    kill_whole(path)
    said = l.run(*as_user(l, [node], path), status=1)
    expect("of another user" in said and said.count("\n") == 1, "it said: %s", said)
    l.run("umount", path)


def test(l):
    node = Node(l, "128M")
    restart_always(l, node)
    stacked(l, node)
    living(l, node)
    by_a_user(l, node)


lab.main(test)
