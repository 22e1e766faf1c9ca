#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A start that waits for a node ends by SIGINT, SIGTERM and SIGHUP, in the foreground and in the
background, and when the process is killed that waits for it; and leaves nothing."""

import signal

import lab
from lab import expect, wait_for
from startup import command, folder, mounted, nothing_left, sockets


def start(l, path, *options):
    process = l.start("start", *command(["127.0.0.1:1"], path, *options))
    process.says("not reachable")
    wait_for("it waits", lambda: mounted(path) and sockets())
    return process, sockets()


def test(l):
    for options in ((), ("-f",)):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            path = folder(l, "w%d%s" % (number, "".join(options)))
            process, names = start(l, path, *options)
            process.signal(number)
            expect(process.wait(10) == 1, "status %s", process.popen.returncode)
            process.says("ended before the mount answered")
            nothing_left(path, names)

    path = folder(l, "parent")
    process, names = start(l, path)
    process.signal(signal.SIGKILL)
    nothing_left(path, names)

    # again at the same place: nothing of the one before is in the way
    path = folder(l, "twice")
    for _ in range(2):
        process, names = start(l, path)
        process.signal(signal.SIGTERM)
        process.wait(10)
        nothing_left(path, names)


lab.main(test)
