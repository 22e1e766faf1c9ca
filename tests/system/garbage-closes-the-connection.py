#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Garbage costs the one who sends it his connection and one line in the log, on either side: a node
goes on serving others, and a mount goes on with its good nodes when what answers at another address
is no memory node."""

import random
import socket
import threading

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
SENDERS = 24


class Babbler(threading.Thread):
    """Listens, answers everything with random bytes, and counts who came."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.callers = 0

    def run(self):
        source = random.Random(5)
        while True:
            caller, _ = self.socket.accept()
            self.callers += 1
            try:
                caller.settimeout(2)
                caller.recv(4096)
                caller.sendall(source.randbytes(source.choice((3, 40, 4096, 1 << 17))))
                caller.recv(4096)
            except OSError:
                pass
            caller.close()


def send_garbage(port, number):
    """Whether the node closed the connection (an unfinished frame may leave it open)."""
    source = random.Random(number)
    header = b"GVM1" if number % 2 else source.randbytes(4)
    data = header + source.randbytes(source.choice((60, 400, 100000)))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        try:
            s.sendall(data)
            while True:
                if not s.recv(65536):
                    return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def test(l):
    node, other, babbler = Node(l, "64M"), Node(l, "64M"), Babbler()
    babbler.start()
    mount = Mount(l, [node, other, "127.0.0.1:%d" % babbler.port])
    region = mount.region("ram", 8 * MIB)
    l.write(region, 0, 8 * MIB, 1)
    for number in range(SENDERS):
        expect(send_garbage(node.port, number), "the node kept a connection that sent garbage")
    # Connections that say nothing, or half a header, and stay: they cost the node nothing else.
    idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(64)]
    for s in idle[::2]:
        s.sendall(b"GVM1\x01")
    l.check(region, 0, 8 * MIB, 1)
    l.write(region, 0, 8 * MIB, 2)
    wait_for("gvmfs has tried the babbler again and again", lambda: babbler.callers > 3)
    said = [line for line in mount.log().splitlines() if str(babbler.port) in line]
    expect(0 < len(said) <= 4, "gvmfs wrote %d lines about the babbler", len(said))
    mount.unmount()
    for s in idle:
        s.close()
    mount = Mount(l, [node, other])
    l.check(mount.file("ram"), 0, 8 * MIB, 2)
    expect(node.stats()["bad_frames"] >= SENDERS // 2, "the node counted %d bad frames",
           node.stats()["bad_frames"])
    lines = [line for line in node.process.log().splitlines() if "127.0.0.1" in line]
    expect(len(lines) < 4 * (SENDERS + 64), "the node wrote %d lines about it", len(lines))


lab.main(test)
