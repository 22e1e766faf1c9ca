#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads of three hosts with two CPUs share pages by atomics, locks, process_vm and O_DIRECT, and drop
their mappings, over a network that loses, repeats, reorders and delays frames: what each sees is what one
memory would show."""

from cluster import Cluster, expect, main

SECONDS = 9


def test(l):
    options = {}
    for i in range(3):
        disk = l.path("disk%d" % i)
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        options[i] = ["-drive", "if=none,id=d,file=%s,format=raw,cache=unsafe" % disk,
                      "-device", "virtio-blk-pci,drive=d,romfile="]
    cluster = Cluster(l, 3, options=options, cpus=2)
    cluster.join("ram", 256)
    cluster.everywhere("share /dev/gvm/ram {id} 3 litmus 200")
    command = "share /dev/gvm/ram {id} 3 torture %d 2 /dev/vda" % SECONDS
    for said in cluster.everywhere(command):
        l.log("%s", said.strip())
    cluster.network("drop 2", "repeat 2", "reorder 5", "delay 300")
    for said in cluster.everywhere(command):
        l.log("on a bad network: %s", said.strip())
    cluster.everywhere("share /dev/gvm/ram {id} 3 litmus 50", seconds=90)
    cluster.network("drop 0", "repeat 0", "reorder 0", "delay 0")
    # A page somewhere is pinned while another node wants it: then the torture had its direct reads.
    for node in cluster.nodes:
        contended = node.run("cat /sys/kernel/debug/giantvm/ram/contended").splitlines()
        expect(len(contended) > 1, "node %d shows no contended page", node.id)
    # As if a guest's Linux had a name for the first megabyte, where all of the region is.
    node.run("printf 'ffffffff80000000 T first\\nffffffff80100000 T last\\n' > /map")
    said = node.run("gvm dsm status ram --symbols /map").partition("contended")[2].strip().splitlines()[1:]
    expect(said and all(line.endswith("  first") for line in said), "by symbol it says %s", said)
    for node in cluster.nodes:
        l.log("%s", node.run("grep -E 'fault|pin|retr' /sys/kernel/debug/giantvm/ram/stats"))
    cluster.close()


main(test)
