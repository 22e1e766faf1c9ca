#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three vCPUs in three QEMUs: reset (by the guest on any node, by a triple fault, by QMP), suspended, stopped and
continued while they work, paused by a panic, switched off by a vCPU of another node; and a node killed in the midst of
any of it. It is never a guest of which a part runs on, and no QEMU stays. With GVM_LONG all of it more often."""

import os
import random

import bare
import lab
from lab import expect, wait_for

LONG = bool(os.environ.get("GVM_LONG"))
RESETS, STOPS, KILLS = (4, 100, 150) if LONG else (1, 10, 3)
NODES = range(3)  # a vCPU each
ENDS = "gvm: node %d closed the connection; the guest had vCPUs there and %s"


def started(l, *devices, **options):
    shared = bare.Bare(l, NODES, devices)
    for node in NODES:
        shared.start(node, **options)
    shared.up()
    return shared


def listens(shared, node):
    try:
        return shared.monitor(node)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def begins(l):
    """Where node 0 begins with -S all wait for it."""
    shared = bare.Bare(l, NODES)
    for node in NODES:
        shared.start(node, *["-S"] * (node == 0))
    for node in NODES:
        wait_for("node %d has a monitor" % node, lambda: listens(shared, node))
        status = shared.monitor(node).do("query-status")["status"]
        expect(status == "prelaunch", "node %d is %s", node, status)
    shared.map()
    expect(shared.get(bare.BOOTS) == 0, "it has begun")
    shared.monitor(0).do("cont")
    shared.up()
    return shared


def stands(shared):
    """Nothing counts, on any node."""
    before = [shared.counts(what) for what in (bare.TICKS, bare.IPIS, bare.PORTS)]
    states = [shared.monitor(node).do("query-status")["status"] for node in NODES for _ in range(3)]
    after = [shared.counts(what) for what in (bare.TICKS, bare.IPIS, bare.PORTS)]
    expect(before == after, "stopped (%s), and counts from %s to %s", states[::3], before, after)
    return states[::3]


def resets(shared):
    boots = 1
    for _ in range(RESETS):
        for how in ("QMP", bare.RESET, bare.TRIPLE_FAULT):
            for cpu in (0, 2) if how != "QMP" else (0,):
                shared.works()
                if how == "QMP":
                    shared.monitor(0).do("system_reset")
                else:
                    shared.order(how, cpu)
                boots += 1
                shared.up(boots)
                shared.goes_on()
    # One that stands is reset, and does not run.
    shared.monitor(0).do("stop")
    shared.monitor(0).do("system_reset")
    wait_for("it is reset", lambda: shared.monitor(0).do("query-status")["status"] == "prelaunch")
    stands(shared)
    shared.monitor(0).do("cont")
    shared.up(boots + 1)
    # Suspended to RAM it stands, too, and begins anew when it is woken.
    shared.works()
    shared.order(bare.SUSPEND, 2)
    wait_for("it is suspended", lambda: shared.monitor(0).do("query-status")["status"] == "suspended")
    stands(shared)
    shared.monitor(0).do("system_wakeup")
    shared.up(boots + 2)
    shared.goes_on()


def stops(l, shared):
    shared.works()
    for _ in range(STOPS):
        shared.monitor(0).do("stop")
        states = stands(shared)
        expect(set(states) == {"paused"}, "the nodes are %s", states)
        shared.monitor(0).do("cont")
        shared.goes_on(bare.IPIS)
    for command in ("stop", "cont", "system_reset", "system_powerdown"):
        said = shared.monitor(2).do("human-monitor-command", **{"command-line": command})
        expect("do it on node 0" in said, "node 2, %s: %s", command, said)
    shared.goes_on()


def ends(shared):
    """Both do, as the guest does."""
    for process in shared.processes.values():
        expect(process.wait(5) == 0 and not process.log(), "%s: status %s, and it says %s", process.name,
               process.popen.returncode, process.log())
    shared.end()


def panics(l):
    shared = started(l, "-device", "pvpanic", "-action", "panic=pause")
    shared.works()
    shared.order(bare.PANIC, 2)
    wait_for("it is paused", lambda: shared.monitor(0).do("query-status")["status"] == "guest-panicked")
    states = stands(shared)
    expect(states == ["guest-panicked", "paused", "paused"], "the nodes are %s", states)
    shared.monitor(0).do("quit")
    ends(shared)


def pauses(l, victim):
    """With on-loss=pause the others stay, for a dump, and never run again."""
    shared = started(l, vcpus=",on-loss=pause")
    shared.works()
    others = [node for node in NODES if node != victim]
    for node in others:
        shared.monitor(node)
    shared.kill(victim)
    for node in others:
        monitor = shared.monitor(node)
        shared.processes[node].says("^" + ENDS % (victim, "is paused for good"))
        wait_for("it is paused", lambda: monitor.do("query-status")["status"] in ("internal-error", "paused"))
    before = [shared.counts(what) for what in (bare.TICKS, bare.IPIS, bare.PORTS)]
    for node in others:
        monitor = shared.monitor(node)
        for command in ("cont", "system_reset"):
            said = monitor.do("human-monitor-command", **{"command-line": command})
            expect("do it on node 0" in said if node else "was lost" in said, "%s: %s", command, said)
        monitor.do("human-monitor-command", **{"command-line": "info registers -a"})
        lost = [event["data"] for event in monitor.events if event["event"] == "DSM_VCPUS_LOST"]
        expect(len(lost) == 1 and lost[0]["node"] == victim, "QMP of node %d tells of %s", node, lost)
    expect([shared.counts(what) for what in (bare.TICKS, bare.IPIS, bare.PORTS)] == before, "it goes on")
    for node in others:
        if node == others[0] or victim == 0:  # node 0 tells the others
            shared.monitor(node).do("quit")
        expect(shared.processes[node].wait(5) == 0, "status %s", shared.processes[node].popen.returncode)
    shared.end()


def killed(l, victim, chance):
    """In the midst of whatever it does."""
    shared = started(l)
    shared.works()
    doing = chance.choice(["work", "stop", "cont", "reset", "restart", "fault"])
    monitor = shared.monitor(0)
    if doing == "restart":
        shared.order(bare.RESET, chance.choice(NODES))
    elif doing == "fault":
        shared.order(bare.TRIPLE_FAULT, chance.choice(NODES))
    elif doing == "reset":
        monitor.tell("system_reset")
    elif doing != "work":
        if doing == "cont":
            monitor.do("stop")
        monitor.tell(doing)
    for _ in range(chance.randrange(5000)):
        shared.get(bare.BOOTS)
    shared.kill(victim)
    for node in NODES:
        if node != victim:
            shared.lost(node, "closed the connection; the guest had vCPUs there and ends")  # or says so of another
    shared.end()


def test(l):
    shared = begins(l)
    resets(shared)
    l.log("reset")
    stops(l, shared)
    l.log("stopped and continued")
    shared.works()
    shared.order(bare.OFF, 2)
    ends(shared)
    panics(l)
    for victim in (0, 2):
        pauses(l, victim)
    l.log("paused for good")
    seed = int(os.environ.get("GVM_SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    l.log("GVM_SEED=%d", seed)
    for i in range(KILLS):
        killed(l, i % len(NODES), chance)


lab.main(test)
