#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes may be given by host name, or by an address that is good on one link only. A name that is
not known yet is waited for, each of its addresses is tried, and a node that gets another address
under its name is found there, under a region in use."""

import os
import re

import lab
from lab import expect, program
from remote import Mount, Node

MIB = 1 << 20
SIZE = 16 * MIB
PORT = 9999


def hosts(l, *lines):
    """This test's own /etc/hosts, in its own mount namespace."""
    path = l.path("hosts")
    fresh = not os.path.exists(path)
    with open(path, "w") as f:
        f.write("".join(line + "\n" for line in ("127.0.0.1 localhost", *lines)))
    if fresh:
        l.run("mount", "--bind", path, "/etc/hosts")


def ip(l, *words):
    return l.run("ip", *words)


def link_local(l):
    """The address of a link of our own that only holds together with its name, if there is IPv6."""
    ip(l, "link", "add", "gvm0", "type", "veth", "peer", "name", "gvm1")
    for name in ("gvm0", "gvm1"):
        ip(l, "link", "set", name, "up")
    if not os.path.exists("/proc/net/if_inet6"):
        return None
    return lab.wait_for("a link-local address", lambda: re.search(
        r"inet6 (fe80\S+)/64 scope link (?!.*tentative)", ip(l, "-6", "addr", "show", "gvm0")), 20).group(1)


def test(l):
    hosts(l)
    node = Node(l, "64M", "--open", port=PORT, host="0.0.0.0")
    # Unknown at first; then the first of its addresses is one where nobody listens.
    mount_dir = l.path("unknown")
    os.mkdir(mount_dir)
    waiting = l.start("gvmfs", program("gvmfs"), "-f", "--no-seal", "--nodes", "lender.test", mount_dir, service=True)
    waiting.says(r"node lender\.test not reachable \(.*(not known|resolution|No address)")
    ip(l, "addr", "add", "10.77.0.1/32", "dev", "lo")
    l.run("nft", "add table inet gvm; add chain inet gvm in { type filter hook input priority 0; };"
                 " add rule inet gvm in ip daddr 10.77.0.9 tcp dport %d reject with tcp reset" % PORT)
    ip(l, "addr", "add", "10.77.0.9/32", "dev", "lo")
    hosts(l, "10.77.0.9 lender.test", "10.77.0.1 lender.test")
    waiting.says(r"node lender\.test connected")
    l.run("umount", mount_dir)
    waiting.succeed(30)

    mount = Mount(l, ["lender.test"])
    path = mount.region("ram", SIZE)
    l.write(path, 0, SIZE, 1)
    # The node moves: its old address is gone without a word to the other side.
    ip(l, "addr", "del", "10.77.0.1/32", "dev", "lo")
    ip(l, "addr", "add", "10.77.0.2/32", "dev", "lo")
    hosts(l, "10.77.0.2 lender.test")
    # Calls may end with an error until it is noticed that the node is silent at the old one.
    lab.wait_for("the node is found at its new address", lambda: l.access(
        "write", path, 0, SIZE, 2).wait(60) == 0, 60)
    l.check(path, 0, SIZE, 2)
    mount.unmount()
    mount = Mount(l, ["10.77.0.2"])
    l.check(mount.file("ram"), 0, SIZE, 2)
    mount.unmount()

    named = l.start("named", program("gvm-memnode"), "--listen", "lender.test:0", "--memory", "16M",
                    "--open", service=True)
    named.says(r"listening on 10\.77\.0\.2:\d+")

    scoped = link_local(l)
    if scoped is None:
        l.log("no IPv6 here: addresses of one link are not tried")
        return
    six = Node(l, "64M", "--open", port=PORT + 1, host="[::]")
    address = "[%s%%gvm0]:%d" % (scoped, six.port)
    mount = Mount(l, [address])
    path = mount.region("ram", SIZE)
    l.write(path, 0, SIZE, 3)
    mount.unmount()
    expect("memory_bytes" in l.run(program("gvm"), "node", address)
           or "capacity" in l.run(program("gvm"), "node", address), "gvm node at %s", address)


lab.main(test)
