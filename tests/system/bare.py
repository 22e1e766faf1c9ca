# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose vCPUs run in several QEMUs, which share its RAM, a file; and what bare.c does in one."""

import mmap
import os
import struct

from lab import BUILD, expect, wait_for
import guest
from monitor import Monitor

DESK = 0x7000
BOOTS, ONLINE, ORDER, CPU, ARGUMENT, NUMBER, DONE, RESULT, LOAD = 0, 4, 8, 12, 16, 24, 28, 32, 64
COUNTER, BACK, CPUS = 128, 136, 8
COUNTS, PAGE = 0x10000, 4096
TICKS, IPIS, PORTS, LOOKS = 0, 8, 16, 24
REST, WORK, READ_COUNTERS = range(3)
DISK_MSIX, DISK_INTX, LITMUS, RESET, TRIPLE_FAULT, OFF, PANIC, SUSPEND, CORNERS, RELAY, NOWHERE, RESTART = range(1, 13)
KEY = "what all nodes of these tests know"


class Shared:
    """The guest on all nodes: vCPU n is of node places[n]. What node 0 alone has is `devices`."""
    started, program = 0, None

    def __init__(self, l, places, devices=(), ram="16M", machine="pc", firmware=None, kvm=False):
        Shared.started += 1
        self.kvm = kvm
        self.l, self.places, self.devices, self.ram, self.machine = l, places, list(devices), ram, machine
        self.folder = l.path("guest-%d" % Shared.started)
        os.mkdir(self.folder)
        self.firmware = firmware
        self.hosts = ["unix:%s/%d" % (self.folder, node) for node in range(max(places) + 1)]
        self.processes, self.memory, self.number = {}, None, 0
        self.monitors = {}

    def command(self, node, *more, **other):
        """Of one node's QEMU; `other` replaces some of what must be the same."""
        path = os.path.join(self.folder, "key-%d" % node)
        with open(path, "w") as f:
            f.write(other.get("key", KEY))
        os.chmod(path, 0o600)
        places = other.get("places", self.places)
        ram = other.get("ram", self.ram)
        Shared.program = Shared.program or guest.patched()
        firmware = ["-bios", self.firmware] if self.firmware else []
        machine = other.get("machine", self.machine) + ",memory-backend=ram,smm=off,vmport=off"
        accel, cpu = ("kvm", "max,vmx=off,svm=off") if self.kvm else ("tcg,thread=multi", "max")
        return [Shared.program, "-machine", machine + (",kernel-irqchip=split" if self.kvm else ""),
                "-accel", accel, "-cpu", other.get("cpu", cpu), "-smp", str(len(self.places)), "-m", ram,
                "-nodefaults", "-display", "none", *firmware,
                "-object", "memory-backend-file,id=ram,size=%s,mem-path=%s/%s,share=on" % (
                    ram, self.folder, "other" if "ram" in other else "ram"),
                "-object", "secret,id=key,file=" + path,
                "-object", "dsm-vcpus,id=vcpus,node=%d,cpus=%s,hosts=%s,key=key%s" % (
                    node, ";".join("%d@%d" % pair for pair in enumerate(places)), ";".join(self.hosts),
                    other.get("vcpus", "")),
                "-qmp", "unix:%s/qmp-%d,server=on,wait=off" % (self.folder, node),
                *(self.devices if node == 0 else []), *more]

    def start(self, node, *more, **other):
        # What QEMU has freed is overwritten.
        process = self.l.start("node%d" % node, *self.command(node, *more, **other),
                               env=dict(os.environ, MALLOC_PERTURB_="165"))
        self.processes[node] = process
        return process

    def monitor(self, node):
        if node not in self.monitors:
            self.monitors[node] = Monitor("%s/qmp-%d" % (self.folder, node))
        return self.monitors[node]

    def kill(self, node):
        self.processes[node].signal(9)

    def lost(self, node, pattern, seconds=3):
        """That node's QEMU ends, because another one did."""
        process = self.processes[node]
        status = process.wait(seconds)
        said = [line for line in process.log().splitlines() if line.startswith("gvm:")]
        expect(status == 125 and len(said) == 1 and pattern in said[0], "node %d: status %s, and it says %s", node,
               status, process.log())

    def end(self):
        for monitor in self.monitors.values():
            monitor.socket.close()
        self.monitors = {}
        if self.memory:
            self.memory.close()
            self.memory = None
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))


class Bare(Shared):
    """The same with the firmware of bare.c, whose desk is read and written in the RAM's file."""

    def __init__(self, l, places, devices=(), **options):
        super().__init__(l, places, devices, firmware=os.path.join(BUILD, "tests/system/bare.rom"), **options)

    def map(self):
        path = os.path.join(self.folder, "ram")
        wait_for("the RAM is there", lambda: os.path.exists(path) and os.path.getsize(path))
        if not self.memory:
            with open(path, "r+b") as f:
                self.memory = mmap.mmap(f.fileno(), 1 << 20)

    def is_up(self, boots):
        return (self.get(BOOTS), self.get(ONLINE)) == (boots, (1 << len(self.places)) - 1)

    def up(self, boots=1):
        """All vCPUs have begun, for so many times."""
        self.map()
        wait_for("all vCPUs have begun, the %d. time" % boots, lambda: self.is_up(boots) or not self.running(), 20)
        expect(self.running(), "a node has ended")

    def running(self):
        return all(process.running() for process in self.processes.values())

    def get(self, at):
        return struct.unpack_from("<I", self.memory, DESK + at)[0]

    def put(self, at, value):
        struct.pack_into("<I", self.memory, DESK + at, value)

    def counts(self, at):
        return tuple(struct.unpack_from("<Q", self.memory, COUNTS + cpu * PAGE + at)[0] for cpu in range(len(self.places)))

    def order(self, order, cpu=0, *arguments):
        for i, value in enumerate(arguments):
            self.put(ARGUMENT + 4 * i, value)
        self.put(ORDER, order)
        self.put(CPU, cpu)
        self.number = self.get(NUMBER) + 1
        self.put(NUMBER, self.number)

    def does(self, order, cpu, *arguments, seconds=30):
        """Waits until it is done, and gives its results."""
        self.order(order, cpu, *arguments)
        wait_for("order %d of vCPU %d is done" % (order, cpu),
                 lambda: self.get(DONE) == self.number or not self.running(), seconds)
        expect(self.running(), "a node has ended")
        return struct.unpack_from("<8I", self.memory, DESK + RESULT)

    def long(self, at):
        return struct.unpack_from("<Q", self.memory, DESK + at)[0]

    def back(self, cpu, other):
        """The most ticks that the vCPU's counter was behind what the other one had read before."""
        return self.long(BACK + 8 * (CPUS * cpu + other))

    def goes_on(self, what=TICKS):
        """Every vCPU counts on from now."""
        before = self.counts(what)
        wait_for("all vCPUs count on: %s" % (before,),
                 lambda: all(now > then for now, then in zip(self.counts(what), before)) or not self.running(), 10)
        expect(self.running(), "a node has ended")

    def works(self):
        """Accesses and interrupts reach other nodes, from now on all the time."""
        self.put(LOAD, 1)
        self.goes_on(PORTS)
        self.goes_on(IPIS)
