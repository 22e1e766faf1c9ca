#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patched QEMU runs with more than 1,024 descriptors open: it finds a TPM behind a descriptor
that select() could not watch, serves a monitor and a disk on such ones, and its guest does its job.
Nor has it a call of select() left, which Debian's own build has. (Those two need a KVM with all of
Hyper-V, and an Xtensa: hw/hyperv/syndbg.c, target/xtensa/xtensa-semi.c.)"""

import json
import os
import resource
import socket
import struct
import subprocess
import sys
import threading

import guest
import lab
from lab import expect

SELECT_HOLDS = 1024  # FD_SETSIZE
CROWD = SELECT_HOLDS + 100
BUILD_SECONDS = 900
TPM_FAILURE = 0x101
SELECTING = {"select", "pselect", "__fdelt_chk", "__fdelt_warn"}


class Tpm(threading.Thread):
    """Answers as a TPM 2.0 in failure mode does: enough for being taken for one."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.requests = 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(1)

    def run(self):
        peer, _ = self.listener.accept()
        try:
            while len(peer.recv(4096)) >= 10:
                self.requests += 1
                peer.send(struct.pack(">HII", 0x8001, 10, TPM_FAILURE))
        except ConnectionError:
            pass  # QEMU has died, which is seen elsewhere


def crowd(tpm_path, *command):
    """Becomes a command that inherits a crowd of descriptors and, above them, a TPM."""
    hard = max(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 2 * CROWD)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    while os.dup(0) < CROWD:
        pass
    tpm = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    tpm.connect(tpm_path)
    for number in range(3, tpm.fileno() + 1):
        os.set_inheritable(number, True)
    fdset = "fd=%d,set=1" % tpm.fileno()
    os.execvp(command[0], [*command, "-add-fd", fdset])


def imports(program):
    """The functions that it takes from libraries."""
    said = subprocess.run(["nm", "-D", "--undefined-only", program], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return {line.split()[-1].partition("@")[0] for line in said.splitlines()}


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.file = self.socket.makefile("r")
        self.file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command):
        self.socket.sendall(json.dumps({"execute": command}).encode())
        while True:
            said = json.loads(self.file.readline())
            if "event" not in said:
                return said["return"]


def descriptors(pid):
    """Number -> what it is, of those above what select() can watch."""
    folder, found = "/proc/%d/fd" % pid, {}
    for number in map(int, os.listdir(folder)):
        if number >= SELECT_HOLDS:
            found[number] = os.readlink("%s/%d" % (folder, number))
    return found


def run_crowded(l, program):
    tpm = Tpm(l.path("tpm"))
    tpm.start()
    for name in ("cancel", "disk"):
        with open(l.path(name), "wb") as f:
            f.truncate(1 << 20)
    command = guest.command(
        "fill", "160M", "-tpmdev", "passthrough,id=tpm,path=/dev/fdset/1,cancel-path=" +
        l.path("cancel"),
        "-qmp", "unix:%s,server=on,wait=off" % l.path("monitor"),
        "-drive", "if=none,id=disk,format=raw,aio=native,cache=none,file=" + l.path("disk"),
        "-device", "virtio-blk-pci,drive=disk", job="fill", percent=30)
    qemu = l.start("qemu", sys.executable, os.path.abspath(__file__), "crowd", l.path("tpm"),
                   program, *command[1:])
    qemu.says(r"^guest: up", 60)
    monitor = Monitor(l.path("monitor"))
    expect(monitor.execute("query-status")["running"], "the monitor says that the guest is stopped")
    high = descriptors(qemu.pid)
    sockets = sum(what.startswith("socket:") for what in high.values())
    l.log("%d descriptors above %d, %d of them sockets", len(high), SELECT_HOLDS - 1, sockets)
    # the TPM's, that which QEMU opened of it, the monitor's two
    expect(sockets >= 4, "only %d sockets are above what select() can watch: %s", sockets, high)
    expect(l.path("disk") in high.values(), "the disk is not")
    expect(tpm.requests > 0, "the TPM was not asked")  # a QEMU that gets no answer ends
    guest.verdict(qemu, 100)


def test(l):
    program = l.run(os.path.join(lab.SOURCE, "qemu/build"), seconds=BUILD_SECONDS).split()[-1]
    stock = imports("/usr/bin/qemu-system-x86_64") & SELECTING
    expect(stock, "Debian's QEMU calls no select() any more: is patch 1 still needed?")
    left = imports(program) & SELECTING
    expect(not left, "the patched QEMU calls %s", ", ".join(sorted(left)))
    run_crowded(l, program)


if sys.argv[1:2] == ["crowd"]:
    crowd(*sys.argv[2:])
else:
    lab.main(test)
