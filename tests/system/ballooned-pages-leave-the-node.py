#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest gives back through its balloon is freed on the nodes, not only on the host."""

import guest
import lab
from lab import expect, program, wait_for
from monitor import Monitor
from remote import Mount, Node

MIB = 1 << 20
RAM = 224


def test(l):
    node = Node(l, "320M")
    mount = Mount(l, [node])
    path, qmp = mount.file("ram"), l.path("qmp")
    qemu = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % (RAM // 3), "--mode", "fuse", "--mount",
                   mount.path, "--region", "ram", "--",
                   *guest.command("fill", "%dM" % RAM, "-device", "virtio-balloon-pci",
                                  "-qmp", "unix:%s,server=on,wait=off" % qmp, job="balloon",
                                  percent=75))
    qemu.says(r"^gvm-fill: verdict pass", 100)
    monitor = Monitor(qmp)
    wait_for("the pages left the host", lambda: node.stats()["stored_bytes"] > 30 * MIB, 30)
    l.run("sync", "-f", path)
    before = node.stats()
    monitor.do("balloon", value=96 * MIB)
    wait_for("the balloon is full",
             lambda: monitor.do("query-balloon")["actual"] <= 100 * MIB, 60)
    wait_for("the node holds less", lambda: node.stats()["stored_bytes"] <
             before["stored_bytes"] * 6 // 10, 30)
    l.log("stored %d MiB before, %d after", before["stored_bytes"] >> 20,
          node.stats()["stored_bytes"] >> 20)
    expect(mount.stats()["punched_pages"] > 60 * MIB // 4096, "%s", mount.stats())
    monitor.do("balloon", value=RAM * MIB)
    monitor.do("quit")
    qemu.wait(20)


lab.main(test)
