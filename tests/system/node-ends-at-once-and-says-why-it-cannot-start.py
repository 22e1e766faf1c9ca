#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TERM and INT end a node at once with status 0, whoever is connected and also before it serves; a node
that cannot start says why in one sentence, with status 1; one that lends more than there is says so."""

import os
import signal
import socket
import time

import lab
from lab import expect, program
from remote import Mount, Node

SILENT = 20
SOON_SECONDS = 2.5 # a node that waits for its peers takes three


def end_seconds(l, number):
    node = Node(l, "64M")
    mount = Mount(l, [node], name="mount")
    mount.region("ram", 1 << 20)
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(SILENT)]
    for s in silent[::2]:
        s.sendall(b"GVM1\1")
    worker = mount.worker()
    os.kill(worker, signal.SIGSTOP)  # a client that takes no notice
    begun = time.monotonic()
    node.process.signal(number)
    expect(node.process.wait(10) == 0, "signal %d: status %s", number, node.process.popen.returncode)
    took = time.monotonic() - begun
    os.kill(worker, signal.SIGCONT)
    node.start()
    mount.unmount()
    node.end()
    for s in silent:
        s.close()
    return took


def refused(l, text, *arguments, before=()):
    said = l.run(*before, program("gvm-memnode"), *arguments, status=1)
    lines = [line for line in said.splitlines() if "retrying for" not in line]
    expect(len(lines) == 1 and text in lines[0], "%s: it said: %s", " ".join(arguments), said)


def test(l):
    for number in (signal.SIGTERM, signal.SIGINT):
        took = lab.best(lambda number=number: end_seconds(l, number), lambda took: took < SOON_SECONDS)
        expect(took < SOON_SECONDS, "signal %d: it took %.1f s", number, took)
    node = Node(l, "64M")
    refused(l, "another program serves", "--memory", "64M", "--listen", node.address)
    waiting = l.start("waiting", program("gvm-memnode"), "--memory", "64M", "--listen", node.address)
    waiting.says("retrying for")
    waiting.signal(signal.SIGTERM)
    expect(waiting.wait(10) == 0, "TERM before it serves: status %s", waiting.popen.returncode)
    refused(l, "no such address", "--memory", "64M", "--open", "--listen", "10.255.255.1:9999")
    refused(l, "not an address", "--memory", "64M", "--listen", "10.0.0.256:9999")
    refused(l, "need privilege", "--memory", "64M", "--listen", "127.0.0.1:99",
            before=("setpriv", "--reuid", "65534", "--clear-groups"))
    refused(l, "out of range", "--memory", "1000P")
    refused(l, "Cannot allocate memory", "--memory", "1G", before=("prlimit", "--as=%d" % (1 << 29)))
    # More than the machine has, and more than its control group may have, is said with numbers.
    large = l.start("large", program("gvm-memnode"), "--memory", "4T", "--listen", "127.0.0.1:0")
    large.says(r"warning: lends 4194304 MiB, but this machine has \d+ MiB")
    large.says("listening")
    group = l.cgroup(64 << 20)
    inside = l.start("inside", program("gvm-memnode"), "--memory", "256M", "--listen",
                     "127.0.0.1:0", cgroup=group)
    inside.says("warning: lends 256 MiB, but its control group may have 64 MiB")
    inside.says("listening")


lab.main(test)
