#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A memory node whose standard error is a full pipe starts, serves and ends; who reads the pipe at
last sees how many lines were dropped, and that a peer's lines are limited for each kind."""

import os
import re
import signal
import socket

import lab
from lab import expect, program, wait_for
from unread import Pipe

PORT = 9999
GARBAGE = 400
REPORTS = 600


def listens():
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
        return True
    except ConnectionRefusedError:
        return False


def reads(l):
    done = l.run(program("gvm"), "node", "127.0.0.1:%d" % PORT, seconds=20)
    expect("free_bytes" in done or "bytes" in done, "gvm node said: %s", done)


def test(l):
    pipe = Pipe(l)
    node = l.start("node", *pipe.command("gvm-memnode", "--memory", "64M"), service=True)
    wait_for("the node listens", listens)
    reads(l)
    for _ in range(GARBAGE):
        with socket.create_connection(("127.0.0.1", PORT), timeout=20) as s:
            s.sendall(b"x" * 100)
            try:
                expect(not s.recv(100), "garbage was answered")
            except ConnectionError:
                pass
    reads(l)
    # An administrator's own reports are not limited: more of them than the node keeps.
    for _ in range(REPORTS):
        os.kill(node.pid, signal.SIGUSR1)
        wait_for("the signal is taken", lambda: not pending(node.pid), pause=0.001)
    reads(l)
    said = pipe.read(r"gvm-memnode: \d+ lines? w(as|ere) dropped")
    lines = said.splitlines()
    garbage = [line for line in lines if "closed: " in line]
    expect(0 < len(garbage) < 100, "%d lines about %d peers", len(garbage), GARBAGE)
    expect(all(line.startswith("gvm-memnode: ") for line in lines[1:]), "torn lines: %s", lines[:5])
    # Full again: it ends all the same, and soon.
    pipe.fill()
    node.signal(signal.SIGTERM)
    expect(node.wait(10) == 0, "the node ended with status %s", node.popen.returncode)


def pending(pid):
    with open("/proc/%d/status" % pid) as f:
        bits = re.search(r"^ShdPnd:\s*([0-9a-f]+)", f.read(), re.M).group(1)
    return int(bits, 16) >> (signal.SIGUSR1 - 1) & 1


lab.main(test)
