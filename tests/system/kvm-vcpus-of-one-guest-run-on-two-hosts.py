#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Under KVM, four vCPUs in two QEMUs: all are there, IPIs go to and fro, and a disk's interrupts, by MSI-X and by a line,
reach vCPUs of either node, none lost. One that others interrupt is started anew by INIT. It is reset by either node and by
QMP, also while its registers are looked at all the time; stopped and continued; either node killed ends the other, and so
does one that cannot go on. What KVM cannot do is refused with its reason. (Linux does all this where KVM is nested: --full.)"""

import os

import bare
import lab
from lab import expect, skip

COUNT = 10000 if os.environ.get("GVM_LONG") else 50
RESTARTS = 2000 if os.environ.get("GVM_LONG") else 100
STOPS = 100 if os.environ.get("GVM_LONG") else 3
LOOKED_AT = 200 if os.environ.get("GVM_LONG") else 20  # boots; of some 15 one went wrong
# Its page tables are made once, so KVM may walk them itself, where the processor cannot.
ALONE = ",x-shadow-paging=on"
DISK = ["-blockdev", "driver=null-co,node-name=disk,read-zeroes=on,size=1048576",
        "-device", "virtio-blk-pci,drive=disk,disable-modern=on,addr=5"]


def started(l, places):
    shared = bare.Bare(l, places, DISK, kvm=True)
    for node in (0, 1):
        shared.start(node, vcpus=ALONE)
    shared.up()
    return shared


def interrupts(l, shared, how, asks, takes):
    """QEMU's own IOAPIC beside KVM's APICs repeats one of a line's now and then, on a single node, too."""
    handled, others, *_ = shared.does(how, asks, takes, COUNT, seconds=60)
    name = {bare.DISK_MSIX: "MSI-X", bare.DISK_INTX: "a line"}[how]
    l.log("%s: vCPU %d asks, vCPU %d has %d interrupts, and %d others", name, asks, takes, handled, others)
    if how == bare.DISK_MSIX:
        expect((handled, others) == (COUNT, 0), "of %d by %s there were %d, and %d others", COUNT, name, handled, others)
    else:
        expect(handled + others >= COUNT and handled >= COUNT * 3 // 4, "of %d by %s there were %d, and %d others",
               COUNT, name, handled, others)


def starts_while_looked_at(shared, boots):
    """A look takes the thread of each vCPU away from what it does, also between another vCPU's INIT and SIPI."""
    monitor = shared.monitor(0)
    for boots in range(boots, boots + LOOKED_AT):
        monitor.do("system_reset")
        while not shared.is_up(boots) and shared.running():
            monitor.do("human-monitor-command", **{"command-line": "info registers -a"})
        shared.up(boots)
        shared.works()


def lives(l):
    shared = started(l, [0, 0, 1, 1])
    shared.works()
    # Between an interrupt's arrival and its end an INIT comes, too.
    expect(shared.does(bare.RESTART, 0, 2, RESTARTS, seconds=60)[0] == RESTARTS, "vCPU 2 was not always started anew")
    shared.goes_on()
    for how in (bare.DISK_MSIX, bare.DISK_INTX):
        for asks, takes in ((0, 2), (3, 2), (2, 1)):
            interrupts(l, shared, how, asks, takes)
    for boots, (how, cpu) in enumerate(((None, 0), (bare.RESET, 3), (bare.TRIPLE_FAULT, 2), (bare.RESET, 0)), 2):
        if how:
            shared.order(how, cpu)
        else:
            shared.monitor(0).do("system_reset")
        shared.up(boots)
        shared.works()
    starts_while_looked_at(shared, boots + 1)
    l.log("reset")
    for _ in range(STOPS):
        shared.monitor(0).do("stop")
        before = [shared.counts(what) for what in (bare.TICKS, bare.IPIS, bare.PORTS)]
        states = [shared.monitor(node).do("query-status")["status"] for node in (0, 1)]
        expect(states == ["paused"] * 2, "the nodes are %s", states)
        expect(before == [shared.counts(what) for what in (bare.TICKS, bare.IPIS, bare.PORTS)], "stopped, it counts")
        shared.monitor(0).do("cont")
        shared.goes_on(bare.IPIS)
    l.log("stopped and continued")
    shared.order(bare.OFF, 3)
    for process in shared.processes.values():
        expect(process.wait(5) == 0, "%s: status %s", process.name, process.popen.returncode)
    shared.end()


def killed(l, victim):
    shared = started(l, [0, 1])
    shared.works()
    shared.kill(victim)
    shared.lost(1 - victim, "gvm: node %d closed the connection; the guest had vCPUs there and ends" % victim)
    shared.end()


def cannot_go_on(l):
    """KVM has an error with a vCPU of node 1, which QEMU stops: no other goes on without it."""
    shared = started(l, [0, 1])
    shared.works()
    shared.order(bare.NOWHERE, 1)
    shared.lost(1, "gvm: node 1 cannot go on; the guest had vCPUs there and ends", 10)
    shared.lost(0, "gvm: node 1 c", 10)  # cannot go on, or has closed the connection
    shared.end()


def refused(l, reason, *more, **other):
    shared = bare.Bare(l, [0, 1], kvm=True)
    process = shared.start(0, *more, **other)
    expect(process.wait(20) == 1 and reason in process.log(), "%s: %s: %s", reason, process.popen.returncode,
           process.log())
    shared.end()


def nested_paging():
    paths = ["/sys/module/kvm_%s/parameters/%s" % pair for pair in (("intel", "ept"), ("amd", "npt"))]
    return any(os.path.exists(path) and open(path).read()[0] in "Y1" for path in paths)


def test(l):
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as why:
        skip("kvm", "/dev/kvm: %s" % why.strerror)
    lives(l)
    for victim in (0, 1):
        killed(l, victim)
    l.log("killed")
    cannot_go_on(l)
    l.log("could not go on")
    refused(l, "kernel-irqchip=split", "-machine", "kernel-irqchip=on", vcpus=ALONE)
    refused(l, "kernel-irqchip=split", "-machine", "kernel-irqchip=off", vcpus=ALONE)
    refused(l, "hv-", vcpus=ALONE, cpu="max,vmx=off,svm=off,hv-relaxed")
    if not nested_paging():
        refused(l, "no nested paging")


lab.main(test)
