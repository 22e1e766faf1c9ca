#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Four vCPUs in two QEMUs: all are there, and a disk's interrupts, by MSI-X and by a line, go to each of the other
node's, asked for here and there: none is lost, and none comes twice. What vCPUs of both nodes write to their memory,
they see in an order that x86 has, and so it is with a device. What is seldom done, on another node, is done as on node 0."""

import os

import bare
import lab
from lab import expect

COUNT = 10000 if os.environ.get("GVM_LONG") else 1000
TURNS = 20000 if os.environ.get("GVM_LONG") else 200
BATCHES = 5000 if os.environ.get("GVM_LONG") else 50


def interrupts(l, shared, how, asks, takes):
    order = {"MSI-X": bare.DISK_MSIX, "a line": bare.DISK_INTX}[how]
    handled, wrong, *_ = shared.does(order, asks, takes, COUNT, seconds=60)
    l.log("%s: vCPU %d asks, vCPU %d has %d interrupts, and %d others", how, asks, takes, handled, wrong)
    expect((handled, wrong) == (COUNT, 0), "of %d interrupts by %s vCPU %d had %d, and there were %d others",
           COUNT, how, takes, handled, wrong)


def litmus(l, shared, one, other):
    """Each of what is forbidden is not seen."""
    tries, stores, messages, counts, seen, *_ = shared.does(bare.LITMUS, one, other, BATCHES, seconds=60)
    l.log("vCPUs %d and %d: %d tries, in %d of which both saw the other", one, other, tries, seen)
    expect((stores, messages, counts) == (0, 0, 0), "store buffering %d, message passing %d, locked counters %d",
           stores, messages, counts)


def corners(shared, cpu, slot=0):
    """The last port, a vector that no device has and, of q35, ECAM, which shows what ports show."""
    low, *configuration = shared.does(bare.CORNERS, cpu, slot)[:3]
    expect(low == 1, "an interrupt of vector 5 came %d times", low)
    expect(not slot or configuration == [0x10011af4] * 2, "a disk is %s", [hex(it) for it in configuration])


def relay(shared, one, other):
    """Each reads in a device's register what the other wrote there before it was told that it is its turn."""
    turns, wrong, *_ = shared.does(bare.RELAY, one, other, TURNS)
    expect((turns, wrong) == (TURNS, 0), "vCPUs %d and %d: in %d of %d turns a register had an older value", one, other,
           wrong, turns)


def ends(shared):
    shared.monitor(0).do("quit")
    for process in shared.processes.values():
        expect(process.wait(5) == 0, "%s: status %s", process.name, process.popen.returncode)
    shared.end()


def test(l):
    disk = ["-blockdev", "driver=null-co,node-name=disk,read-zeroes=on,size=1048576",
            "-device", "virtio-blk-pci,drive=disk,disable-modern=on,addr=5"]
    shared = bare.Bare(l, [0, 0, 1, 1], disk)
    shared.start(0)
    shared.start(1)
    shared.up()
    for how in ("MSI-X", "a line"):
        for asks, takes in ((0, 2), (3, 2), (2, 1)):
            interrupts(l, shared, how, asks, takes)
    for one, other in ((0, 2), (3, 1)):
        litmus(l, shared, one, other)
    for one, other in ((2, 0), (3, 2)):
        relay(shared, one, other)
    corners(shared, 2)
    ends(shared)
    shared = bare.Bare(l, [0, 1], disk, machine="q35")
    shared.start(0)
    shared.start(1)
    shared.up()
    for cpu in (0, 1):
        corners(shared, cpu, 5)
    ends(shared)


lab.main(test)
