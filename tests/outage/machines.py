# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that lend memory: each a network namespace with one node, a link to the host, and on it the
wire (wire.c), by which all goes that the host and the node say to each other."""

import os
import shutil
import subprocess

from lab import BUILD, expect, program, wait_for  # first: it says where the others are
from remote import Node
import stored

WIRE = os.path.join(BUILD, "tests/outage/wire")
PORT = 9999


def _run(*command):
    """Of which there are many, so that none leaves a log."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=30)
    expect(done.returncode == 0, "%s: %s", " ".join(map(str, command)), done.stderr)


def _network(pid):
    try:
        return os.readlink("/proc/%d/ns/net" % pid)
    except OSError:
        return None


class Machine(Node):
    """`address` is where its wire listens; whatever else is broken of it, the node itself is as any other."""

    def __init__(self, lab, number, memory, persist=False):
        self.lab, self.number = lab, number
        self.disk = lab.path("disk-%d" % number) if persist else None
        if persist:
            os.mkdir(self.disk)
        self.link, self.host_ip, self.ip = "far%d" % number, "10.77.%d.1" % number, "10.77.%d.2" % number
        self.holder = lab.start("machine-%d" % number, "unshare", "--net", "sleep", "infinity", service=True)
        wait_for("machine %d has a network" % number,
                 lambda: _network(self.holder.pid) not in (None, _network(os.getpid())))
        self.inside = ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid]
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "host", "netns", self.holder.pid)
        _run("ip", "addr", "add", self.host_ip + "/24", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", self.ip + "/24", "dev", "host"],
                      ["link", "set", "host", "up"]):
            self.run("ip", *words)
        super().__init__(lab, memory, *(["--persist", self.disk] if persist else []), name="node-%d" % number,
                         before=self.inside)
        self._wire()

    @property
    def address(self):
        return "%s:%d" % (self.ip, PORT)

    def run(self, *command):
        """On the machine itself."""
        _run(*self.inside, *command)

    def _wire(self):
        pipe = self.lab.path("wire-%d" % self.number)
        os.mkfifo(pipe)
        self.wire = self.lab.start("wire-%d" % self.number, *self.inside, WIRE, self.ip, PORT, self.port, pipe,
                                   service=True)
        self.commands = os.open(pipe, os.O_RDWR)
        self.wire.says("^wire on")

    def _command(self, line):
        expect(self.wire.running(), "the wire has ended: %s", self.wire.log())
        os.write(self.commands, line.encode() + b"\n")

    def delay(self, microseconds):
        self._command("delay %d" % microseconds)

    def flip(self, after_bytes, bit):
        self._command("flip %d %d" % (after_bytes, bit))

    def flips(self):
        return self.wire.log().count("flip\n")

    def reset(self):
        self._command("reset")

    def flip_stored(self, part, number):
        return stored.flip(self.process.pid, part, number)

    def forget(self):
        """Dead, it loses what it kept."""
        if self.disk:
            shutil.rmtree(self.disk)
            os.mkdir(self.disk)

    def unplug(self):
        _run("ip", "link", "set", self.link, "down")

    def plug(self):
        _run("ip", "link", "set", self.link, "up")

    def narrow(self, rate):
        """So much goes over the link, in each direction."""
        words = ["root", "tbf", "rate", rate, "burst", "128kb", "latency", "200ms"]
        _run("tc", "qdisc", "add", "dev", self.link, *words)
        self.run("tc", "qdisc", "add", "dev", "host", *words)

    def widen(self):
        _run("tc", "qdisc", "del", "dev", self.link, "root")
        self.run("tc", "qdisc", "del", "dev", "host", "root")

    def swallow(self):
        """What is sent there or comes from there vanishes, while the link is up."""
        table = "swallow%d" % self.number
        _run("nft", "add table inet %s; add chain inet %s input { type filter hook input priority 0; }; "
                     "add chain inet %s output { type filter hook output priority 0; }; "
                     "add rule inet %s input ip saddr %s drop; add rule inet %s output ip daddr %s drop"
                     % (table, table, table, table, self.ip, table, self.ip))

    def deliver(self):
        _run("nft", "delete", "table", "inet", "swallow%d" % self.number)
