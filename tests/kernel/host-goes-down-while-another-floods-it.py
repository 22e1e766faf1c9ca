#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node withdraws offers that it never made, hundreds at a time, while another one goes down, again and
again: that ends all the same, though its mutex is what each of them waits for. Before that it asks for many times the
pages that may wait for a node, and takes none of them: only so many wait, its connection ends, and the other node works on."""

from cluster import Cluster, expect, lab, main

ROUNDS = 8
SECONDS_MAX = 3600  # it is ended before
TERMINATED = 128 + 15
ROLES = "bc"
PAGES, TIMES, RUN = 1024, 16, 32
QUEUED_KIB = 4096 * 4  # what may wait for a node
ROOM_KIB = 12 * 1024  # beside that: what a socket takes, and others' memory that comes and goes
STATUS = "gvm dsm status | grep ' connected'"


def free_kib(node):
    return int(node.second.run("sed -n 's/^MemFree: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"))


def takes_no_answer(l, zero, one):
    zero.run("gvm dsm create --homes 0 ram %dk && share /dev/gvm/ram {id} 1 fill 0 %d 3" % (PAGES * 4, PAGES))
    zero.run("gvm dsm create --homes 0 other 1M")
    number = zero.run("sed -n 's/^id //p' /sys/kernel/debug/giantvm/ram/stats").strip()
    free, asked = free_kib(zero), zero.counter("received") + PAGES // RUN * TIMES
    one.begin("flood 1 0 ram %s %d %d" % (number, PAGES, TIMES))
    lab.wait_for("all questions to be taken", lambda: zero.counter("received") > asked, 60)
    taken = free - free_kib(zero)
    l.log("%d KiB are taken by answers that nobody takes", taken)
    expect(QUEUED_KIB / 2 < taken < QUEUED_KIB + ROOM_KIB, "%d KiB wait for a node", taken)
    zero.run("share /dev/gvm/other {id} 1 fill 0 100 4 && share /dev/gvm/other {id} 1 check 0 100 4")
    zero.shell.until("! " + STATUS)
    one.second.run("kill $(pidof flood)")
    one.answer(status=TERMINATED)


def test(l):
    cluster = Cluster(l, 2, roles=ROLES, key="", up=False)
    zero, one = cluster.nodes
    zero.run("insmod /lib/giantvm_kvm.ko")
    cluster.up(zero, ROLES, "")
    takes_no_answer(l, zero, one)
    zero.run("gvm dsm down --force")
    one.begin("flood 1 0 %d" % SECONDS_MAX)
    for number in range(ROUNDS):
        cluster.up(zero, ROLES, "")
        zero.run("gvm dsm create ram 1M")
        zero.shell.until(STATUS)
        zero.run("gvm dsm down --force")
    one.second.run("kill $(pidof flood)")
    one.answer(status=TERMINATED)
    one.run("insmod /lib/giantvm_kvm.ko")  # as close() finds it
    cluster.close()


main(test)
