# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster in kernel mode for one test: guests with giantvm_kvm.ko, all on one Ethernet switch that
can be told to be a bad one. Each guest runs shell commands given to it over a serial port.

    def test(l):
        cluster = Cluster(l, 3)
        cluster.join("ram", 1024)
        cluster.everywhere("share /dev/gvm/ram {id} 3 count 1000")
        cluster.close()

A guest has one CPU, or as many as the test says, or GVM_GUEST_CPUS for all tests; and the kernel that
GVM_GUEST_KERNEL says (tests/guest/kernel.py), or the one that the test says for this node.
"""

import os
import re
import shlex
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../system"), os.path.join(HERE, "../guest")]

import lab  # noqa: E402
from lab import Failure, expect  # noqa: E402
import accel  # noqa: E402
import complaints  # noqa: E402
import kernel  # noqa: E402
import kmod  # noqa: E402

BOOT_SECONDS = 90
HANG_SECONDS = 60
# Where the kernel has kmemleak: what was allocated more than five seconds ago and nothing points to.
LEAKS = ("leaks=/sys/kernel/debug/kmemleak; [ ! -e $leaks ] || "
         "(sleep 6; echo scan > $leaks; echo scan > $leaks; cat $leaks)")
SLOWER = 4 if kernel.chosen() == "debug" else 1  # an emulated CPU with a kernel that watches itself
# The CPUs of an emulated guest run at the same time, as they do elsewhere; or by turns, for a test in
# which kernels rewrite their own code again and again (KVM does, for each first machine): before 8.1,
# QEMU may then leave a CPU with the old code, which is a breakpoint, for ever.
ACCELERATORS = {"tcg": "tcg,thread=multi", "kvm": "kvm"}
BY_TURNS = {"tcg": "tcg,thread=single", "kvm": "kvm"}
# Of hosts that run one guest's vCPUs, on the patched QEMU: their walks of a guest's page tables read, as Intel's do with
# eptad=0, and they have one time stamp counter.
SHARING = "tcg,thread=multi,x-nested-walks-read=on,x-host-counter=on"
CPUS = "GVM_GUEST_CPUS"
# What QEMU 7.2 makes of CMPXCHG16B is wrong at times; 6.12 uses it wherever it allocates.
EMULATED = {"backports": "max,-cx16", "newest": "max,-cx16"}
# A host of a busy machine may stand still for longer than the module's ten seconds; nothing is to be lost with it but in a
# test of that.
PATIENT = "lease_ms=60000"
ROLES = {"c": "cpu", "m": "mem", "b": "cpu,mem"}


class Shell:
    """Runs commands in a guest, one after the other. They are numbered, so that an answer never
    belongs to another question."""

    def __init__(self, node, path):
        self.node, self.path, self.number, self.received = node, path, 0, b""

    def connect(self):
        def attempt():
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(self.path)
                return True
            except OSError:
                expect(self.node.process.running(), "%s ended early", self.node.process.name)
        # QEMU waits for this before the guest begins, so that nothing it says is missed.
        lab.wait_for("the shell " + self.path, attempt)

    def begin(self, command):
        """Lets the guest run a command; answer() waits for its end."""
        self.number += 1
        text = command.format(id=self.node.id)
        self.socket.sendall(("%d %s\n" % (self.number, text)).encode())

    def answer(self, seconds=HANG_SECONDS, status=0):
        """The output of the command begun last; another status than the expected one fails."""
        seconds = lab.patience(seconds * SLOWER)
        deadline = time.monotonic() + seconds
        mark = re.compile(rb"^done %d (\d+)\r?\n" % self.number, re.M)
        while True:
            found = mark.search(self.received)
            if found:
                break
            left = deadline - time.monotonic()
            said = self.received.decode(errors="replace")
            if left <= 0:
                raise Failure("node %d does not answer within %g s; it said:\n%s\n%s" % (
                    self.node.id, seconds, said, self.node.diagnosis(self)))
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                continue
            expect(data, "node %d ended; it said:\n%s", self.node.id, said)
            self.received += data
        said = self.received[:found.start()].decode(errors="replace").replace("\r", "")
        self.received = self.received[found.end():]
        ended = int(found.group(1))
        expect(status is None or ended == status, "node %d: status %d:\n%s", self.node.id, ended,
               said)
        return said

    def run(self, command, seconds=HANG_SECONDS, status=0):
        self.begin(command)
        return self.answer(seconds, status)

    def until(self, condition, seconds=HANG_SECONDS):
        """Waits for a command of the guest's to succeed."""
        self.run("until %s > /dev/null 2>&1; do sleep 0.1; done" % condition, seconds)


class Node:
    """One guest, with two shells."""

    def __init__(self, cluster, number, memory, cpus, image, cpu, options):
        self.cluster, self.id, self.stopped = cluster, number, False
        vmlinux, initramfs = image
        port = "%s/guest%d" % (cluster.folder, number)
        words = "console=ttyS0 quiet panic=-1 watchdog_thresh=60 job=kmod-node id=%d" % number
        if cluster.accel == "tcg":
            words += " no_timer_check tsc=" + ("reliable" if cluster.qemu else "unstable")
        self.shells = [cluster.lab.path("shell%d%s" % (number, which)) for which in "ab"]
        serial = [word for path in self.shells
                  for word in ("-serial", "unix:%s,server=on,wait=on" % path)]
        self.command = [
            cluster.qemu or "qemu-system-x86_64", "-machine", "q35", "-accel", cluster.accelerator,
            "-cpu", cpu, "-smp", cpus, "-m", memory, "-nodefaults", "-display", "none",
            "-no-reboot", "-serial", "stdio", *serial,
            "-kernel", vmlinux, "-initrd", initramfs, "-append", words,
            "-netdev", "dgram,id=n,local.type=unix,local.path=%s,remote.type=unix,"
                       "remote.path=%s/switch%d" % (port, cluster.folder, number),
            "-device", "virtio-net-pci,netdev=n,romfile=,mac=52:54:00:67:76:%02x" % number,
            *options]
        self.start()

    def start(self):
        self.process = self.cluster.lab.start("node%d" % self.id, *self.command)
        self.shell, self.second = [Shell(self, path) for path in self.shells]
        self.begin, self.answer, self.run = self.shell.begin, self.shell.answer, self.shell.run

    def connect(self):
        self.shell.connect()
        self.second.connect()

    def counter(self, name, region="ram"):
        """One of a region's figures in debugfs; also while the first shell runs something."""
        return int(self.second.run("sed -n 's/^%s //p' /sys/kernel/debug/giantvm/%s/stats" % (name, region)))

    def boot(self):
        """Waits until it is up. Of some hundred machines of several emulated CPUs, one stands still
        before its kernel has begun anything: so it is started once more."""
        deadline = time.monotonic() + 2 * HANG_SECONDS * SLOWER
        while "guest: up" not in self.process.log() and self.process.running():
            if time.monotonic() > deadline:
                self.cluster.lab.log("node %d hangs at boot, and begins anew", self.id)
                self.kill()
                self.start()
                self.connect()
                break
            time.sleep(0.05)
        self.answer(BOOT_SECONDS)
        self.second.answer(BOOT_SECONDS)

    def diagnosis(self, hung):
        """What the other shell sees when one does not answer."""
        if hung is not self.shell:
            return ""
        commands = ("grep . /sys/kernel/debug/giantvm/*/*; dmesg | tail -n 20; "
                    "for p in /proc/[0-9]*; do grep -q share $p/comm && cat $p/stack; done; "
                    "echo 1 > /sys/kernel/tracing/events/giantvm/enable; sleep 0.5; "
                    "echo 0 > /sys/kernel/tracing/events/giantvm/enable; "
                    "tail -n 40 /sys/kernel/tracing/trace; netstat -tn; true")
        found = []
        for node in self.cluster.nodes:
            try:
                if node.process.running() and not node.stopped:
                    found.append("node %d:\n%s" % (node.id, node.second.run(commands, 20)))
            except Failure as why:
                found.append("no diagnosis: %s" % why)
        return "\n".join(found)

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait(HANG_SECONDS)

    def stop(self):
        """Hangs the whole machine, its clock too, until go()."""
        self.process.signal(signal.SIGSTOP)
        self.stopped = True

    def go(self):
        self.process.signal(signal.SIGCONT)
        self.stopped = False

    def complaints(self):
        return complaints.reports(self.process.log())


def image_of(kind, inner, arguments, qemu=None):
    with kernel.choose(kind):
        return kmod.image(lab.BUILD, kmod.module(*arguments), inner, qemu)


class Cluster:
    def __init__(self, l, nodes, memory="192M", parameters=PATIENT, roles=None,
                 key="the key of this test", options=None, up=True, inner=False, cpus=1,
                 by_turns=False, kernels=None, built=(), qemu=None):
        """`built`: arguments of make for the module, where the kernel is Debian's own ("cloud"). `qemu`: the patched one, by
        which the hosts are emulated and run guests together."""
        self.lab, self.folder, self.qemu = l, l.folder, qemu
        self.roles, self.key = roles or "b" * nodes, key
        kernels = kernels or [kernel.chosen()] * nodes
        images = {kind: image_of(kind, inner or qemu, built if kind == "cloud" else (), qemu) for kind in kernels}
        self.accel = "tcg" if qemu else accel.choose(*images[kernels[0]])[0]
        self.accelerator = SHARING if qemu else (BY_TURNS if by_turns else ACCELERATORS)[self.accel]
        self.switch = l.start("switch", os.path.join(lab.BUILD, "tests/kernel/switch"), l.folder,
                              nodes, service=True)
        self.switch.says("^switch: up")
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        options = options or {}
        cpus = int(os.environ.get(CPUS) or cpus)
        self.nodes = [Node(self, i, memory, cpus, images[kind], self.cpu(kind), options.get(i, []))
                      for i, kind in enumerate(kernels)]
        for node in self.nodes:
            node.connect()
        for node in self.nodes:
            node.boot()
        self.parameters = parameters
        for node in self.nodes if up else []:
            self.load(node)

    def cpu(self, kind):
        return EMULATED.get(kind, "max") if self.accel == "tcg" else "max"

    def load(self, node):
        node.run("insmod /lib/giantvm_kvm.ko " + self.parameters)
        self.up(node, self.roles, self.key)

    @staticmethod
    def up(node, roles, key):
        """`roles`: a letter for each node: c (cpu), m (mem), b (both). No key: ''."""
        for number, role in enumerate(roles):
            node.run("echo '%d 10.9.0.%d:9999 %s' %s /tmp/cluster.conf" % (
                number, number + 1, ROLES[role], ">>" if number else ">"))
        node.run("umask 077; echo %s > /tmp/key" % shlex.quote(key))
        node.run("gvm dsm up --conf /tmp/cluster.conf --id {id}" + (" --key /tmp/key" if key else " --open"))

    def network(self, *lines):
        """Tells the switch, as tests/kernel/switch.c describes."""
        for line in lines:
            self.control.sendto(line.encode(), self.folder + "/control")

    def everywhere(self, command, seconds=HANG_SECONDS, status=0, nodes=None):
        """Runs it in all guests at once; gives their outputs. What failed anywhere is told."""
        nodes = self.nodes if nodes is None else nodes
        for node in nodes:
            node.begin(command)
        said, failures = [], []
        for node in nodes:
            try:
                said.append(node.answer(seconds, status))
            except Failure as why:
                failures.append(str(why))
        expect(not failures, "%s", "\n".join(failures))
        return said

    def join(self, name, kib):
        self.nodes[0].run("gvm dsm create %s %dk" % (name, kib))
        self.everywhere("gvm dsm join " + name, nodes=self.nodes[1:])

    def close(self, nodes=None):
        """Unloads the module in the guests that are left, and switches these off: they must be well."""
        nodes = self.nodes if nodes is None else nodes
        self.everywhere("gvm dsm down --force && rmmod giantvm_kvm", nodes=nodes)
        for leaks in self.everywhere(LEAKS, nodes=nodes):
            expect(not leaks, "the module leaves memory behind:\n%s", leaks)
        for node in nodes:
            found = node.run("dmesg | grep -E 'BUG|WARN|Oops' || true")
            expect(not found, "node %d's kernel complains:\n%s", node.id, found)
            node.begin("off")
        for node in nodes:
            node.answer()
            status = node.process.wait(HANG_SECONDS)
            expect(status == 0 and "guest: verdict pass" in node.process.log(),
                   "node %d did not end well (status %s)", node.id, status)
        for node in self.nodes:
            expect(not node.complaints(), "node %d's kernel complains:\n%s", node.id,
                   "\n".join(node.complaints()))


main = lab.main
__all__ = ["Cluster", "Failure", "expect", "main"]
