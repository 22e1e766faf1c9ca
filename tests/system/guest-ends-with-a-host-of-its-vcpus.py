#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's vCPUs in two QEMUs: whichever is started first, they find each other. Either of them killed ends the other,
with one sentence and the status 125; so does one that hangs. What cannot be done is refused with its reason."""

import signal

import bare
import lab
from lab import expect, wait_for


def killed(l, first, victim):
    shared = bare.Bare(l, [0, 1])
    for node in (first, 1 - first):
        shared.start(node)
    shared.up()
    shared.put(bare.LOAD, 1)
    shared.goes_on(bare.PORTS)
    shared.kill(victim)
    shared.lost(1 - victim, "gvm: node %d closed the connection; the guest had vCPUs there and ends" % victim)
    shared.end()


def hangs(l):
    """A node that stands still is lost to the other one, as soon as it was silent for as long as the protocol says; and
    when it goes on, the other one is lost to it. Both cases at a time."""
    guests = []
    for victim in (0, 1):
        shared = bare.Bare(l, [0, 1])
        for node in (0, 1):
            shared.start(node)
        shared.up()
        shared.works()
        shared.processes[victim].signal(signal.SIGSTOP)
        guests.append((shared, victim))
    for shared, victim in guests:
        # It was silent, or has read nothing; the other one finds out either first.
        shared.lost(1 - victim, " for 5000 ms; the guest had vCPUs there and ends", 20)
    for shared, victim in guests:
        shared.processes[victim].signal(signal.SIGCONT)
        shared.lost(victim, "gvm: node %d closed the connection; the guest had vCPUs there and ends" % (1 - victim), 20)
        shared.end()


def refused(l, reason, node, *more, **other):
    """One node alone ends at once."""
    shared = bare.Bare(l, [0, 1])
    process = shared.start(node, *more, **other)
    expect(process.wait(20) == 1 and reason in process.log(), "%s: %s: %s", reason, process.popen.returncode,
           process.log())
    shared.end()


def not_saved(l):
    shared = bare.Bare(l, [0, 1])
    nodes = [shared.start(0), shared.start(1)]
    shared.up()
    for node in (0, 1):
        for command in ("savevm x", "loadvm x", "migrate -d tcp:127.0.0.1:1"):
            said = shared.monitor(node).do("human-monitor-command", **{"command-line": command})
            expect("can be neither saved nor migrated" in said, "node %d, %s: %s", node, command, said)
    shared.goes_on()
    shared.monitor(0).do("quit")
    for process in nodes:
        expect(process.wait(5) == 0, "status %s", process.popen.returncode)
    shared.end()


def differs(l, reason, **other):
    """Both nodes tell their users."""
    shared = bare.Bare(l, [0, 1])
    nodes = [shared.start(0), shared.start(1, **other)]
    for process in nodes:
        process.says("^gvm: (node 0 refuses: )?" + reason, 20)
    for process in nodes:
        process.signal(9)
        process.wait(5)
    shared.end()


def test(l):
    for victim in (0, 1):
        killed(l, victim, victim)
        killed(l, 1 - victim, victim)
    l.log("killed")
    hangs(l)
    l.log("hung")
    refused(l, "cannot be plugged in", 0, "-m", "16M,slots=2,maxmem=64M")
    refused(l, "cannot be plugged in", 0, "-smp", "2,maxcpus=3")
    refused(l, "the guest has 3 vCPUs, and cpus= has 2", 0, "-smp", "3")
    refused(l, "no more than 255 vCPUs", 0, places=[0] * 255 + [1])
    refused(l, "-incoming", 0, "-incoming", "defer")
    refused(l, "what a device is given directly", 0, "-device", "vfio-pci,host=0000:00:00.0")
    refused(l, "node 0 has all devices", 1, "-device", "virtio-balloon-pci")
    refused(l, "smm=off", 0, "-machine", "smm=on")
    refused(l, "vCPU 0 has to run on node 0", 0, places=[1, 0])
    l.log("refused")
    not_saved(l)
    differs(l, "node 1 has another CPU model than node 0", cpu="max,-rdrand")
    differs(l, "node 1 has other RAM than node 0", ram="32M")
    differs(l, "node 1 has another machine than node 0", machine="q35")
    differs(l, "node 1 has another key than node 0", key="another one")


lab.main(test)
