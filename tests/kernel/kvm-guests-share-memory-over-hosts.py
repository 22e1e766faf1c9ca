#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts with two CPUs run a guest each under KVM, two vCPUs in it, with the same pages as memory:
what all six increment is counted right. Each is unmodified KVM, which follows the region's mappings by
itself. Where it would use shadow pages, it cannot: with npt=0 the region is not mapped, and a guest that
runs a nested one is killed. A vCPU that runs elsewhere (qemu/vcpu_antenna.h) hears what is sent to it, each
interrupt once."""

from cluster import Cluster, expect, main

BUS_ERROR = 128 + 7
KILLED = 128 + 9
APIC_MODES = ["xAPIC", "x2APIC"]
INTERRUPTS = 100  # of each kind
RELOAD = "rmmod kvm_amd && insmod /modules/kvm?amd* "


def nested_guest_is_killed(node):
    """Where the process maps no region, the same nested guest runs."""
    node.run("truncate -s 4096 /tmp/file && share /tmp/file {id} 1 nested 0")
    node.run("share /dev/gvm/ram {id} 1 nested 0", status=KILLED)
    said = node.run("dmesg | grep 'is killed'")
    expect("and runs a nested guest" in said, "the log says: %s", said)


def shadow_paging_is_refused(node):
    node.run(RELOAD + "npt=0")
    for command in "share /dev/gvm/ram {id} 1 get 1", "share /dev/gvm/ram {id} 1 vcpu 1 1":
        said = node.run(command + " 2>&1", status=1)
        expect("Operation not supported" in said, "it says: %s", said)
    expect("npt=0" in node.run("dmesg | grep 'cannot be mapped'"), "the log says nothing")
    node.run("dd if=/dev/gvm/ram of=/dev/null count=1")  # reading needs no mapping
    # What is mapped when KVM is loaded is not used any longer.
    node.run(RELOAD)
    node.begin("share /dev/gvm/ram {id} 1 beat 90 /tmp/end > /tmp/beat")
    node.second.until("grep begun /tmp/beat")
    node.second.run(RELOAD + "npt=0")
    node.answer(status=BUS_ERROR)
    node.run(RELOAD)


def parked_vcpu_hears(node):
    said = node.run("antenna %d 2>&1" % INTERRUPTS)
    expect(said.count("each once") == len(APIC_MODES), "of %s:\n%s", APIC_MODES, said)
    return said.strip()


def test(l):
    cluster = Cluster(l, 3, cpus=2, by_turns=True)
    cluster.join("ram", 1024)
    for rounds in 60, 240:
        for said in cluster.everywhere("share /dev/gvm/ram {id} 3 vcpu %d 2" % rounds, seconds=120):
            l.log("%s", said.strip())
    l.log("%s", parked_vcpu_hears(cluster.nodes[0]))
    nested_guest_is_killed(cluster.nodes[0])
    shadow_paging_is_refused(cluster.nodes[0])
    cluster.nodes[0].run("share /dev/gvm/ram {id} 1 vcpu 10 1")
    cluster.close()


main(test)
