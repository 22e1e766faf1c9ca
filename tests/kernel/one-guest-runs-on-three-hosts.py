#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest has a vCPU on each of three hosts and a region of the module for its RAM: as kmod/README.md says it, by the command
lines that `gvm run --cpus` prints. What is locked or ordered between its vCPUs is right, on each pair of hosts; it ends on all
three, and where one host is lost the others end it with one sentence. The hosts are emulated, with nested paging whose walks
read, as Intel's with eptad=0; without --force they are taken for AMD's. With GVM_PARTS=linux it is Linux."""

import base64
import os
import re
import struct

from cluster import Cluster, Failure, expect, lab, main  # first: it says where the others are
import bare
import guest

HOSTS = 3
PARTS = os.environ.get("GVM_PARTS", "bare loss").split()
BARE_MIB, LINUX_MIB = 16, 96
BATCHES = 3
LOST = 125
RELOAD = "rmmod kvm_amd && insmod /modules/kvm?amd* "
QEMU = "/usr/bin/qemu-system-x86_64 -accel kvm -smp %d -nodefaults -display none -no-reboot " % HOSTS
WORDS = ("console=ttyS0 quiet panic=-1 nowatchdog tsc=reliable tsc_early_khz=52000000 no_timer_check mitigations=off nokaslr "
         "cryptomgr.notests audit=0 apparmor=0 random.trust_cpu=on job=cpus cpus=%d" % HOSTS)


class Guest:
    """The QEMUs of one guest, one on each host, in the background there."""

    def __init__(self, l, cluster, region, qemu):
        self.l, self.cluster, self.nodes, self.region, self.number = l, cluster, list(cluster.nodes), region, 0
        cpus = ",".join("1@10.9.0.%d" % (node.id + 1) for node in self.nodes)
        self.run = "gvm run --region %s --cpus %s --key /tmp/key" % (region, cpus)
        self.qemu = QEMU + qemu

    def begin(self, node, command):
        node.run("rm -f /tmp/ended; (%s; echo $? > /tmp/ended.new; mv /tmp/ended.new /tmp/ended) > /tmp/said 2>&1 < /dev/null &"
                 % command)

    def as_printed(self):
        lines = [line for line in self.nodes[0].run("%s -- %s" % (self.run, self.qemu)).splitlines() if not line.startswith("#")]
        expect(len(lines) == HOSTS, "it prints %s", lines)
        for node in reversed(self.nodes):
            self.begin(node, lines[node.id].replace("{", "{{").replace("}", "}}"))

    def refused(self, reason, options, more=""):
        said = self.nodes[0].run("%s --node 0 %s -- %s %s 2>&1" % (self.run, options, self.qemu, more), status=1)
        expect(reason in said, "it does not say '%s' but %s", reason, said)

    def by_node(self):
        for node in self.nodes:
            self.begin(node, "%s --force --node %d -- %s" % (self.run, node.id, self.qemu))

    def said(self):
        return "\n".join("node %d, status %s" % (node.id, node.run("cat /tmp/ended 2>/dev/null; echo; cat /tmp/said"))
                         for node in self.nodes if node.process.running())

    def until(self, what, condition, seconds=180):
        """No QEMU ends before."""
        def look():
            ended = [node.id for node in self.nodes if node.run("cat /tmp/ended 2>/dev/null || true")]
            expect(not ended, "%s: QEMU of %s ended:\n%s", what, ended, self.said())
            return condition()
        try:
            return lab.wait_for(what, look, seconds, 0.5)
        except Failure as why:
            raise Failure("%s\n%s" % (why, self.said() + self.figures())) from None

    def ends(self, nodes, status, seconds=120):
        for node in nodes:
            lab.wait_for("the guest has ended on host %d:\n%s" % (node.id, self.said()),
                         lambda node=node: node.run("cat /tmp/ended 2>/dev/null || true"), seconds, 0.2)
            found = node.run("cat /tmp/ended").strip()
            expect(found == str(status), "host %d: status %s\n%s", node.id, found, self.said())

    def figures(self):
        return "".join(node.run("grep -E 'faults|wait_ns|revoked|grants|retries|bounces' /sys/kernel/debug/giantvm/%s/stats | "
                                "tr '\\n' ' '; echo" % self.region) for node in self.nodes)


class Bare(Guest):
    """With the firmware of tests/system/bare.c, whose desk any host reads in the region."""

    def __init__(self, l, cluster):
        super().__init__(l, cluster, "bare", "-m %dM -bios /inner/bare.rom" % BARE_MIB)

    def read(self, at, pages=1):
        return base64.b64decode(self.nodes[-1].run("dd if=/dev/gvm/bare bs=4096 skip=%d count=%d 2>/dev/null | base64" % (
            at // bare.PAGE, pages)))

    def desk(self):
        return self.read(bare.DESK)

    def get(self, at):
        return struct.unpack_from("<I", self.desk(), at)[0]

    def counts(self, at):
        pages = self.read(bare.COUNTS, HOSTS)
        return [struct.unpack_from("<Q", pages, cpu * bare.PAGE + at)[0] for cpu in range(HOSTS)]

    def begins(self):
        """What the firmware counts is in the region, which stays."""
        self.boots = self.get(bare.BOOTS) + 1
        self.as_printed()
        self.until("all vCPUs have begun", lambda: self.desk()[:8] == struct.pack("<2I", self.boots, (1 << HOSTS) - 1))

    def put(self, node, at, value):
        node.run("share /dev/gvm/bare 0 1 put %d %d %d" % (bare.DESK // bare.PAGE, at // 8, value))

    def works(self):
        self.put(self.nodes[-1], bare.LOAD, 1)
        for what in bare.PORTS, bare.IPIS:
            before = self.counts(what)
            self.until("all vCPUs go on", lambda what=what, before=before: all(
                now > then for now, then in zip(self.counts(what), before)))
        self.put(self.nodes[0], bare.LOAD, 0)

    def order(self, order, cpu, first=0, second=0):
        """A desk's words are of 32 bits, two in one of the program's."""
        node = self.nodes[-1]
        self.put(node, bare.ORDER, order | cpu << 32)
        self.put(node, bare.ARGUMENT, first | second << 32)
        self.number += 1
        self.put(node, bare.NUMBER, self.number)

    def litmus(self, one, other):
        self.order(bare.LITMUS, one, other, BATCHES)
        self.until("litmus tests of %d and %d are done" % (one, other), lambda: self.get(bare.DONE) == self.number)
        tries, stores, messages, counts, seen = struct.unpack_from("<5I", self.desk(), bare.RESULT)
        self.l.log("vCPUs %d and %d: %d tries, in %d of which both saw the other", one, other, tries, seen)
        expect((stores, messages, counts) == (0, 0, 0), "store buffering %d, message passing %d, locked counters %d", stores,
               messages, counts)


def bare_works(l, cluster):
    cluster.join("bare", BARE_MIB * 1024)
    shared = Bare(l, cluster)
    shared.begins()
    l.log("all vCPUs have begun")
    expect(all("AMD's all do" in node.run("cat /tmp/said") for node in shared.nodes), "QEMU says\n%s", shared.said())
    shared.works()
    l.log("accesses to ports and interrupts reach others")
    for one in range(HOSTS):
        shared.litmus(one, (one + 1) % HOSTS)
    shared.order(bare.OFF, HOSTS - 1)
    shared.ends(shared.nodes, 0)
    l.log("%s", shared.figures())
    what_would_be_wrong_is_refused(shared)


def what_would_be_wrong_is_refused(shared):
    """What would be slow needs --force; where nobody would see what others write to page tables, it is of no use."""
    shared.refused("AMD's processors write to a guest's page tables when they walk them", "")
    shared.refused("can have no guests of its own", "--force", "-cpu host,+svm")
    shared.nodes[0].run(RELOAD + "npt=0")
    shared.refused("load it with ept=1 or npt=1", "--force")
    shared.nodes[0].run(RELOAD)


def linux_comes_up(l, cluster):
    cluster.join("linux", LINUX_MIB * 1024)
    shared = Guest(l, cluster, "linux", "-m %dM -serial stdio -kernel /inner/vmlinux -initrd /inner/initramfs -append \"%s\"" % (
        LINUX_MIB, WORDS))
    shared.by_node()
    zero = shared.nodes[0]
    shared.until("Linux is up", lambda: "guest: up" in zero.run("cat /tmp/said"), 1200)
    l.log("Linux is up\n%s", shared.figures())
    shared.ends(shared.nodes, 0, 1200)
    said = zero.run("cat /tmp/said")
    l.log("%s\n%s", "\n".join(line for line in said.splitlines() if line.startswith(("guest:", "cpus:"))), shared.figures())
    expect("cpus: %d ran" % HOSTS in said and "guest: verdict pass" in said, "it says:\n%s", said)


def host_is_lost(l, cluster):
    if "bare" not in PARTS:
        cluster.join("bare", BARE_MIB * 1024)
    shared = Bare(l, cluster)
    shared.begins()
    shared.works()
    victim, left = shared.nodes[-1], shared.nodes[:-1]
    victim.kill()
    shared.ends(left, LOST)
    for node in left:
        said = [line for line in node.run("cat /tmp/said").splitlines() if re.match("gvm: (?!RAM )", line)]
        l.log("host %d: %s", node.id, said)
        expect(len(said) == 1 and "the guest had vCPUs there and ends" in said[0], "host %d says %s", node.id, said)
    return left


def test(l):
    cluster = Cluster(l, HOSTS, memory="560M", qemu=guest.patched())
    l.log("the hosts are up")
    left = cluster.nodes
    if "bare" in PARTS:
        bare_works(l, cluster)
    if "linux" in PARTS:
        linux_comes_up(l, cluster)
    if "loss" in PARTS:
        left = host_is_lost(l, cluster)
    cluster.close(left)


main(test)
