#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs of three QEMUs, the second of which has a counter that runs faster, read their counters one after the other, under a
lock: those of one node never see theirs go back, those of two by no more than what QEMU says it may be wrong; also while
the guest is stopped, continued and reset. They share a file: on several hosts the lock would take longer to go from one to the
other than what is seen here. With GVM_LONG for ten minutes. By KVM, too, where there is one."""

import os
import re
import time

import bare
import lab
from lab import expect, wait_for

LONG = bool(os.environ.get("GVM_LONG"))
PPM, SECONDS = (50, 600) if LONG else (80, 5)
DRIFT_US = PPM * SECONDS
PLACES = [0, 0, 1, 1, 2]
STALL_S = 4  # the longest that a machine with much to do may keep a node from following
OUTLIER_US = 5  # of a step that its own node has made, and another one has not heard of


def figures(shared, node):
    said = shared.monitor(node).do("human-monitor-command", **{"command-line": "info vcpus-remote"})
    found = re.search(r"^counter: the host's and ([-\d.]+) us, ([\d.]+) us of steps"
                      r"(?:, ([\d.]+) us apart at most, known to ([\d.]+))?", said, re.M)
    expect(found, "node %d says %s", node, said)
    return [float(figure or 0) for figure in found.groups()]


def apart_now(shared, node):
    """How far the guest's counter is from node 0's: all have the same host. Either runs on while the other one is asked."""
    before, here, after = (figures(shared, who)[0] for who in (0, node, 0))
    return max(before - here, here - after, 0)


def ticks_us(shared, began):
    """How many ticks a microsecond has, about."""
    at, ticks = began
    return (shared.long(bare.COUNTER) - ticks) / (time.monotonic() - at) / 1e6


def disturbs(shared):
    """What might set counters back."""
    shared.monitor(0).do("stop")
    shared.monitor(0).do("cont")
    shared.goes_on(bare.LOOKS)
    shared.monitor(0).do("system_reset")
    shared.up(2)
    shared.put(bare.LOAD, bare.READ_COUNTERS)
    shared.goes_on(bare.LOOKS)


def agree(l, kvm):
    shared = bare.Bare(l, PLACES, kvm=kvm)
    for node in sorted(set(PLACES)):
        shared.start(node, vcpus=",x-shadow-paging=on,x-skew-ppm=%d" % (PPM if node == 1 else 0))
    shared.up()
    shared.put(bare.LOAD, bare.READ_COUNTERS)
    shared.goes_on(bare.LOOKS)
    began = time.monotonic(), shared.long(bare.COUNTER)
    disturbs(shared)
    # Both follow the one that is ahead, one of which is told to by it.
    wait_for("the others have made up for %d us" % DRIFT_US,
             lambda: min(figures(shared, node)[1] for node in (0, 2)) > DRIFT_US or not shared.running(), SECONDS * 10 + 30)
    expect(shared.running(), "a node has ended")
    shared.goes_on(bare.LOOKS)
    us = ticks_us(shared, began)
    said = {node: figures(shared, node) for node in set(PLACES)}
    bound = {0: 0}
    for node in (1, 2):
        _, _, apart, error = said[node]
        bound[node] = apart + 2 * error + OUTLIER_US
        expect(apart < PPM * STALL_S, "node %d was %.1f us apart, of %d that it has drifted", node, apart, DRIFT_US)
    worst = 0
    for cpu, here in enumerate(PLACES):
        for other, there in enumerate(PLACES):
            back = shared.back(cpu, other) / us
            most = bound[here] + bound[there] if here != there else 0
            expect(back <= most, "vCPU %d of node %d read %.2f us less than vCPU %d of node %d had before: %s", cpu, here, back,
                   other, there, said)
            worst = max(worst, back)
    # However little QEMU knows on a machine that has much to do: what was not followed is still to be seen.
    for node in (1, 2):
        wait_for("node %d is nearer to node 0 than it drifts in a second" % node, lambda: apart_now(shared, node) < PPM, 60)
    l.log("%s: %d looks, %.2f us back at most; us ahead of the host, of steps, apart, known to: %s", "kvm" if kvm else "tcg",
          sum(shared.counts(bare.LOOKS)), worst, said)
    shared.monitor(0).do("quit")
    for process in shared.processes.values():
        expect(process.wait(10) == 0, "%s: status %s, and it says %s", process.name, process.popen.returncode, process.log())
    shared.end()


def has_kvm():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def test(l):
    agree(l, False)
    if has_kvm():
        agree(l, True)


lab.main(test)
