#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian guest under unmodified QEMU and KVM boots and fills memory on a host that may keep half of
the guest's RAM; the rest is on a host that only lends memory."""

from cluster import Cluster, expect, main

MIB = 96
KEPT_MIB = 64
SLACK_PAGES = 512


def test(l):
    cluster = Cluster(l, 2, memory="768M", roles="cm", inner=True)
    cluster.join("ram", MIB * 1024)
    zero, one = cluster.nodes
    zero.run("echo %d > /sys/module/giantvm_kvm/parameters/cache_mb" % KEPT_MIB)
    said = zero.run(
        "/usr/bin/qemu-system-x86_64 -machine q35,accel=kvm,memory-backend=ram -cpu host -m %dM "
        "-object memory-backend-file,id=ram,size=%dM,mem-path=/dev/gvm/ram,share=on "
        "-nodefaults -display none -no-reboot -serial stdio -kernel /inner/vmlinux "
        "-initrd /inner/initramfs "
        "-append \"console=ttyS0 quiet panic=-1 job=fill percent=15\"" % (MIB, MIB), seconds=240)
    l.log("%s", "\n".join(line for line in said.splitlines() if "guest" in line or "fill" in line))
    expect("guest: verdict pass" in said, "the inner guest did not pass:\n%s", said)
    for node in cluster.nodes:
        l.log("%s", node.run("grep -E 'resident|faults|evict' /sys/kernel/debug/giantvm/ram/stats"))
    kept, lent = [int(node.run("sed -n 's/^resident_pages //p' /sys/kernel/debug/giantvm/ram/stats"))
                  for node in cluster.nodes]
    expect(kept <= KEPT_MIB * 256 + SLACK_PAGES and lent > 256, "resident: %d and %d pages", kept, lent)
    cluster.close()


main(test)
