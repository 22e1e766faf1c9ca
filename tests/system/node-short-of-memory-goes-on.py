#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that gets no more memory from the kernel refuses what needs some, and goes on: what it holds
can be read, and once others have left it serves as before."""

import re
import resource
import socket

import lab
from lab import expect, program
from remote import Mount, Node

MIB = 1 << 20
SLACK = 4 * MIB  # address space beyond what the node has at its start


CROWD = 8000    # more than that can hold


def size_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmSize:\s*(\d+) kB", f.read()).group(1)) << 10


def test(l):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for engine in ("uring", "epoll"):
        first = Node(l, "64M", "--io", engine, name="measured-" + engine)
        limit = size_of(first.process.pid) + SLACK
        first.end()
        node = l.start("node-" + engine, "prlimit", "--as=%d" % limit, program("gvm-memnode"),
                       "--memory", "64M", "--listen", "127.0.0.1:0", "--io", engine, service=True)
        port = int(node.says(r"listening on 127\.0\.0\.1:(\d+)").group(1))
        mount = Mount(l, ["127.0.0.1:%d" % port], name="mount-" + engine)
        region = mount.region("ram", 8 * MIB)
        l.write(region, 0, 8 * MIB, 1)
        crowd = []
        refused = r"out of memory|turned away|cannot accept"
        while len(crowd) < CROWD and not re.search(refused, node.log()):
            s = socket.create_connection(("127.0.0.1", port), timeout=10)
            try:
                s.sendall(b"GVM1")
            except ConnectionError:
                pass
            crowd.append(s)
        node.says(refused)
        for number in range(20):  # each wants tables of its own
            l.start("create", "timeout", "5", "truncate", "-s", "1M",
                    mount.file("more-%d" % number)).wait(30)
        l.check(region, 0, 8 * MIB, 1)
        for s in crowd:
            s.close()
        expect(node.running(), "the node is gone: status %s", node.popen.returncode)
        l.run(program("gvm"), "node", "127.0.0.1:%d" % port, seconds=30)
        l.write(region, 0, 8 * MIB, 3)
        l.check(region, 0, 8 * MIB, 3)
        mount.unmount()
        node.signal(15)
        expect(node.wait(10) == 0, "the node ended with status %s", node.popen.returncode)


lab.main(test)
