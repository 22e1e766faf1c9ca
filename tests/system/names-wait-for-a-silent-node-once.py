#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One of three nodes does not answer. The call about a name that finds that out waits for it, later ones do not: the
kernel makes them queue, and behind them the open of a region that has nothing there. Once the node is back it has
all names."""

import os
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
CALLS = 20
TIMES = 8


def seconds(call, *arguments):
    began = time.monotonic()
    call(*arguments)
    return time.monotonic() - began


def made(mount, prefix):
    """How long the first folder takes, and how long CALLS that are made at the same time and an open behind them."""
    first = seconds(os.mkdir, mount.file(prefix))
    making = [lab.Thread(os.mkdir, mount.file("%s-%d" % (prefix, n))) for n in range(CALLS)]
    began = time.monotonic()
    for thread in making:
        thread.start()
    os.close(os.open(mount.file("own"), os.O_RDWR))
    for thread in making:
        thread.join()
    return first, time.monotonic() - began


def test(l):
    near, third, far = nodes = [Node(l, "256M", name=name) for name in ("near", "third", "far")]
    mount = Mount(l, [near])
    mount.region("own", MIB)
    mount.unmount()
    names = {"own"}
    for what, away, back in (("stopped", far.stop, far.go_on), ("killed", far.kill, far.start)):
        mount = Mount(l, nodes)

        def measure():
            away()
            prefix = "%s-%d" % (what, len(names))
            first, rest = made(mount, prefix)
            names.update({prefix}, {"%s-%d" % (prefix, n) for n in range(CALLS)})
            back()
            wait_for("the node has all names", lambda: os.listdir(mount.path) and far.stats()["names"] >= len(names))
            return first, rest

        first, rest = lab.in_its_time(measure, lambda took: took[1] < TIMES * took[0])
        expect(rest < TIMES * first, "%s: %d calls took %.2f s after one of %.2f s", what, CALLS, rest, first)
        mount.unmount()
    third.kill()
    mount = Mount(l, [near, third, far])
    found = set(os.listdir(mount.path))
    expect(found == names, "%s are missing", names - found)


lab.main(test)
