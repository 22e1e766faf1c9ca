#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian guest under unmodified QEMU and KVM boots and fills memory on a host that may keep half of
the guest's RAM; the rest is on a host that only lends memory. `gvm run` and the preloaded library see
that the RAM is the kernel module's, and say so."""

from cluster import Cluster, expect, lab, main

MIB = 96
KEPT_MIB = 64
SLACK_PAGES = 512
QEMU = "/usr/bin/qemu-system-x86_64 -nodefaults -display none "
BY_PATH = (QEMU + "-machine q35,accel=kvm,memory-backend=ram -m 16M -S -monitor stdio "
           "-object memory-backend-file,id=ram,size=16M,mem-path=/dev/gvm/small,share=on")


def modes_are_chosen(node):
    """What the backend in a QEMU says of a region that it maps by its path."""
    node.run("gvm dsm create small 16M")
    preload = "echo quit | LD_PRELOAD=/lib/libgvm-preload.so GVM_MODE=%s " + BY_PATH + " 2>&1"
    for mode in "auto", "kernel":
        said = node.run(preload % mode)
        expect("kernel, since it is region small of giantvm_kvm 0." in said,
               "GVM_MODE=%s: QEMU says:\n%s", mode, said)
    said = node.run(preload % "uffd", status=1)
    expect("not in mode uffd, since it is a region of /dev/giantvm" in said, "QEMU says:\n%s", said)
    for command, reason in (
            ("--region none -- " + QEMU + "-m 16M", "--local SIZE is needed"),
            ("--mode kernel -- " + QEMU + "-m 16M", "--mode kernel needs --region"),
            ("--mode kernel --region small -- " + QEMU + "-m 32M", "has another size"),
            ("--region small -- " + QEMU + "-m 16M -device vfio-pci,host=00:02.0", "pins all")):
        said = node.run("gvm run %s 2>&1" % command, status=None)
        expect(reason in said, "gvm run %s says:\n%s", command, said)
    node.run("gvm dsm leave small")


def test(l):
    cluster = Cluster(l, 2, memory="768M", roles="cm", inner=True)
    cluster.join("ram", MIB * 1024)
    zero, one = cluster.nodes
    zero.run("echo %d > /sys/module/giantvm_kvm/parameters/cache_mb" % KEPT_MIB)
    modes_are_chosen(zero)
    said = zero.run(
        "gvm run --region ram -- " + QEMU + "-machine q35,accel=kvm -cpu host -m %dM "
        "-no-reboot -serial stdio -kernel /inner/vmlinux -initrd /inner/initramfs "
        "-append \"console=ttyS0 quiet panic=-1 nowatchdog job=fill percent=15\" 2>&1" % MIB, seconds=240)
    expect("mode kernel, since ram is a region of giantvm_kvm" in said, "gvm run says:\n%s", said)
    l.log("%s", "\n".join(line for line in said.splitlines() if "guest" in line or "fill" in line))
    expect("guest: verdict pass" in said, "the inner guest did not pass:\n%s", said)
    for node in cluster.nodes:
        l.log("%s", node.run("grep -E 'resident|faults|evict' /sys/kernel/debug/giantvm/ram/stats"))
    lab.wait_for("the first to keep no more than it may", lambda:
                 zero.counter("resident_pages") <= KEPT_MIB * 256 + SLACK_PAGES)
    lent = one.counter("resident_pages")
    expect(lent > 256, "the other has only %d pages", lent)
    cluster.close()


main(test)
