#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker whose supervisor is killed serves on without burning the CPU, says so, and is ended as the
supervisor would be; then nothing is left. Signals to the worker itself, as service managers send them
to all of a service, are the supervisor's affair while there is one."""

import os
import signal
import time

import lab
from lab import expect, wait_for
from remote import Node
from startup import command, folder, holder, mounted, nothing_left, serving, sockets

MIB = 1 << 20


def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def start(l, node, name):
    path = folder(l, name)
    process = l.start(name, *command([node], path, "-f"), service=True)
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    worker = next(pid for pid, parent in serving(path).items() if parent == process.pid)
    return path, process, worker


def orphaned(l, node):
    path, process, worker = start(l, node, "orphaned")
    names = sockets()
    expect(names, "it has no socket")
    with open(path + "/a", "xb") as f:
        f.truncate(4 * MIB)
    user = holder(l, path + "/a")
    process.signal(signal.SIGKILL)
    process.wait(5)
    wait_for("the worker says so", lambda: "will not be replaced" in process.log())
    l.write(path + "/a", 0, 4 * MIB, 1)
    l.check(path + "/a", 0, 4 * MIB, 1)
    before = ticks(worker)
    time.sleep(1)
    spent = ticks(worker) - before
    expect(spent < os.sysconf("SC_CLK_TCK") // 2, "an idle worker took %d ticks in a second", spent)
    os.kill(worker, signal.SIGTERM)
    wait_for("it unmounts", lambda: not mounted(path))
    expect(worker in serving(path), "the worker is gone under its user:\n%s", process.log())
    user.signal(signal.SIGKILL)
    nothing_left(path, names)


def signalled(l, node):
    path, process, worker = start(l, node, "signalled")
    names = sockets()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker, number)
    time.sleep(0.3)
    expect(worker in serving(path), "a signal ended the worker")
    user = holder(l, path)
    for pid in (process.pid, worker):  # as systemd does
        os.kill(pid, signal.SIGTERM)
    process.says("is in use")
    time.sleep(0.3)
    found = [pid for pid, parent in serving(path).items() if parent == process.pid]
    expect(found == [worker], "the worker %d was replaced: %s", worker, found)
    user.signal(signal.SIGKILL)
    process.succeed(10)
    nothing_left(path, names)


def test(l):
    node = Node(l, "128M")
    orphaned(l, node)
    signalled(l, node)


lab.main(test)
