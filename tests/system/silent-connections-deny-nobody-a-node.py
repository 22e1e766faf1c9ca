#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hundreds of connections that say nothing, and come again when they are closed, deny nobody a node
that has few descriptors: the oldest of those that have not proved themselves make room."""

import os
import socket
import threading
import time

import lab
from lab import expect, program
from remote import Mount

MIB = 1 << 20
SILENT = 300


class Silent(threading.Thread):
    """Holds as many connections as it can, and opens again what the node closes."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.sockets, self.over, self.opened = port, [], False, 0

    def closed(self, s):
        try:
            return s.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def run(self):
        while not self.over:
            for s in [s for s in self.sockets if self.closed(s)]:
                s.close()
                self.sockets.remove(s)
            while len(self.sockets) < SILENT:
                try:
                    self.sockets.append(socket.create_connection(("127.0.0.1", self.port), 5))
                    self.sockets[-1].setblocking(False)
                    self.opened += 1
                except OSError:
                    break
            time.sleep(0.3)


def test(l):
    for engine in ("uring", "epoll"):
        node = l.start("node", "prlimit", "--nofile=128:128", program("gvm-memnode"), "--memory",
                       "64M", "--listen", "127.0.0.1:0", "--io", engine, service=True)
        port = int(node.says(r"listening on 127\.0\.0\.1:(\d+)").group(1))
        silent = Silent(port)
        silent.start()
        lab.wait_for("the silent ones are there", lambda: silent.opened > 2 * SILENT)
        for _ in range(5):
            l.run(program("gvm"), "node", "127.0.0.1:%d" % port, seconds=20)
        mount = Mount(l, ["127.0.0.1:%d" % port], name="mount-" + engine)
        region = mount.region("ram", 4 * MIB)
        l.write(region, 0, 4 * MIB, 1)
        l.check(region, 0, 4 * MIB, 1)
        mount.unmount()
        silent.over = True
        silent.join()
        for s in silent.sockets:
            s.close()
        lines = len(node.log().splitlines())
        expect(lines < silent.opened // 2, "%d lines about %d connections", lines, silent.opened)
        node.signal(15)
        expect(node.wait(10) == 0, "the node ended with status %s", node.popen.returncode)


lab.main(test)
