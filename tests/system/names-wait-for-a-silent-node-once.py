#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One of three nodes does not answer. The call about a name that finds that out waits for it, later ones do not, nor do
those that remove regions which lie there: the kernel makes them queue, and behind them the open of a region that has
nothing there. Once the node is back it has all names. With one of two nodes no name can be changed: the call that finds that
out fails when it has waited for the node, and those after it do not wait as long again, each."""

import os
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
CALLS = 20
TIMES = 8
REMOVALS = 8
LOOK = 1  # second: as long as the removal of a region waits for a node that may know of a writer


def seconds(call, *arguments):
    began = time.monotonic()
    call(*arguments)
    return time.monotonic() - began


def removed(mount, prefix):
    """How long it takes to remove REMOVALS regions, when a first one has found out what there is to know."""
    os.unlink(mount.file(prefix + "-0"))
    return seconds(lambda: [os.unlink(mount.file("%s-%d" % (prefix, n + 1))) for n in range(REMOVALS)])


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


def not_made(path):
    expect(not is_made(path), "a folder is made by one of two nodes")


def is_made(path):
    try:
        os.mkdir(path)
    except TimeoutError:
        return False
    return True


def without_majority(l, near, far):
    """How long the first call takes, and how long CALLS that come at the same time, and the look-up of a region, behind them."""
    mount = Mount(l, [near, far])
    far.stop()
    first = seconds(not_made, mount.file("first"))
    making = [lab.Thread(not_made, mount.file("later-%d" % n)) for n in range(CALLS)]
    began = time.monotonic()
    for thread in making:
        thread.start()
    os.close(os.open(mount.file("own"), os.O_RDWR))
    for thread in making:
        thread.join()
    rest = time.monotonic() - began
    far.go_on()
    wait_for("names can be changed", lambda: is_made(mount.file("then")))
    os.rmdir(mount.file("then"))
    mount.unmount()
    return first, rest


def test(l):
    near, third, far = nodes = [Node(l, "256M", name=name) for name in ("near", "third", "far")]
    mount = Mount(l, [near])
    mount.region("own", MIB)
    mount.unmount()
    names = {"own"}
    for what, away, back in (("stopped", far.stop, far.go_on), ("killed", far.kill, far.start)):

        def measure():
            prefix = "%s-%d" % (what, len(names))
            mount = Mount(l, [far])
            for n in range(REMOVALS + 1):
                mount.region("%s-theirs-%d" % (prefix, n), MIB)
            mount.unmount()
            mount = Mount(l, nodes)
            os.listdir(mount.path)
            away()
            first, rest = made(mount, prefix)
            removals = removed(mount, prefix + "-theirs")
            names.update({prefix}, {"%s-%d" % (prefix, n) for n in range(CALLS)})
            back()
            wait_for("the node has all names", lambda: os.listdir(mount.path) and far.stats()["names"] >= len(names))
            mount.unmount()
            return first, rest, removals

        def good(took):
            return took[1] < TIMES * took[0] and took[2] < LOOK * REMOVALS / 2

        took = lab.in_its_time(measure, good)
        expect(good(took), "%s: %d calls took %.2f s after one of %.2f s, %d removals %.2f s", what, CALLS, took[1], took[0],
               REMOVALS, took[2])
    two = [Node(l, "64M", name=name) for name in ("one", "two")]
    mount = Mount(l, two[:1])
    mount.region("own", MIB)
    mount.unmount()
    took = lab.in_its_time(lambda: without_majority(l, *two), lambda took: took[1] < TIMES * took[0])
    expect(took[1] < TIMES * took[0], "%d calls that cannot be done took %.2f s after one of %.2f s", CALLS, took[1], took[0])
    third.kill()
    mount = Mount(l, [near, third, far])
    found = set(os.listdir(mount.path))
    expect(found == names, "%s are missing", names - found)


lab.main(test)
