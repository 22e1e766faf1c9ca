#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with another key, without one, with another address of a node or another lease gets no connection, and
is told of in the log; with the right ones it is one of them, also after its clock was set back. A peer that is not
authenticated yet takes little memory. Without a key, hosts are nodes only where that is asked for. An attacker on the
way, who lets the handshake pass, reaches no page. A host that has one node's keys can be no other node."""

import re

from cluster import Cluster, Failure, expect, lab, main  # first: it says where the others are
import kernel

KEY = "the key of this test"
REFUSED = (("another key of a test", "has another key"), ("", "has no key"))
LEASE_MS = 40000  # no host of this test is to be taken for lost, however busy the machine


# Almost as many as are let in at a time; a buffer for the frames of each would be 8 pages.
STRANGERS = 60
PAGES_MAX = 4
PAGES = "grep nr_slab_unreclaimable /proc/vmstat"


ATTACKS = ("flip", "forge", "length", "repeat", "drop", "swap")
PAGES_ATTACKED = 4


def kernel_pages(node, command=PAGES):
    return max(int(line.split()[1]) for line in node.run(command).splitlines())


def strangers_take_little(l, zero, one):
    before = kernel_pages(zero)
    one.second.begin("flood 1 0 4 %d" % STRANGERS)
    more = kernel_pages(zero, "for i in $(seq 40); do %s; sleep 0.1; done" % PAGES) - before
    said = one.second.answer()
    expect("%d strangers" % STRANGERS in said, "they say: %s", said)
    l.log("%d strangers take %d pages", STRANGERS, more)
    # The debug kernel remembers each allocation.
    expect(more < STRANGERS * PAGES_MAX or kernel.chosen() == "debug", "%d strangers take %d pages", STRANGERS, more)


def forget(nodes):
    """A line that is about something earlier is not heard later."""
    for node in nodes:
        node.second.run("dmesg -c > /dev/null")


def hears(nodes, words):
    """The nodes' logs, which are read once, must come to have the words, after forget()."""
    heard = []

    def look():
        heard.extend(node.second.run("dmesg -c") for node in nodes)
        return words in "".join(heard)
    try:
        lab.wait_for(words, look)
    except Failure:
        raise Failure("nobody says '%s' but:\n%s" % (words, "".join(heard))) from None


def refused(zero, one, reason):
    said = one.run("gvm dsm join --wait 2 ram 1M 2>&1", status=1)
    expect("not every node" in said, "a join without the other says: %s", said)
    one.begin("gvm dsm join --wait 60 ram 1M 2>&1")  # so that it goes on to ask, until it has been refused
    hears((zero, one), reason)
    one.second.run("kill $(pidof gvm)")
    one.answer(status=None)


def altered(node):
    return node.counter("altered_frames")


def on_path(cluster):
    """Whatever is done to a frame on its way, the connection ends, and the pages are right."""
    zero, one = cluster.nodes
    one.run("gvm dsm down --force; onpath 10.9.0.2 10.9.0.1 /tmp/onpath > /tmp/onpath.log & "
            "until grep -q up /tmp/onpath.log; do sleep 0.1; done")
    one.run("nsenter -t $(pidof onpath) -n gvm dsm up --conf /tmp/cluster.conf --id 1 --key /tmp/key")
    one.run("gvm dsm join ram; share /dev/gvm/ram {id} 2 discard 0 %d" % PAGES_ATTACKED)
    for number, what in enumerate(ATTACKS):
        forget(cluster.nodes)
        one.run("echo %s > /tmp/onpath" % what)
        before = altered(zero) + altered(one)
        for writer, reader in ((one, zero), (zero, one)):
            writer.run("share /dev/gvm/ram {id} 2 fill 0 %d %d" % (PAGES_ATTACKED, number))
            reader.run("share /dev/gvm/ram {id} 2 check 0 %d %d" % (PAGES_ATTACKED, number))
            number += len(ATTACKS)
        expect(altered(zero) + altered(one) > before, "nobody notices %s", what)
        hears((zero, one), "was altered on its way; the connection is closed")
    said = one.run("kill $(pidof onpath); cat /tmp/onpath.log").split()[2:]
    expect(said[1::2] == list(ATTACKS), "it did: %s", said)


def pair_keys(cluster):
    """A host that has the keys of node 2 is not taken for node 1."""
    zero, one = cluster.nodes
    cluster.everywhere("gvm dsm down --force; umask 077; echo the master key of this test > /tmp/master; "
                       "(cat /tmp/cluster.conf; echo 2 10.9.0.3:9999 cpu) > /tmp/three.conf; for i in 0 1 2; do "
                       "gvm dsm key --master /tmp/master --conf /tmp/three.conf --id $i > /tmp/keys$i || exit 1; done; "
                       "grep '^0 ' /tmp/keys2 > /tmp/forged")
    zero.run("gvm dsm up --conf /tmp/cluster.conf --id 0 --keys /tmp/keys0")
    for option, reason in (("--keys /tmp/forged", "has another key"), ("--key /tmp/key", "has one key for all nodes")):
        forget(cluster.nodes)
        one.run("gvm dsm up --conf /tmp/cluster.conf --id 1 " + option)
        refused(zero, one, reason)
        one.run("gvm dsm down --force")
    said = one.run("gvm dsm up --conf /tmp/cluster.conf --id 1 --keys /tmp/keys2 2>&1", status=1)
    expect("not the keys of node 1" in said, "up with another node's keys says: %s", said)
    one.run("gvm dsm up --conf /tmp/cluster.conf --id 1 --keys /tmp/keys1")
    cluster.join("pairs", 64)
    cluster.everywhere("share /dev/gvm/pairs {id} 2 count 50")
    # The list grows with the keys that each node has already, and with no others.
    said = one.run("umask 077; sed 's/^0 \\(.\\)\\(.*\\)/0 \\2\\1/' /tmp/keys1 > /tmp/changed; "
                   "gvm dsm up --conf /tmp/three.conf --id 1 --keys /tmp/changed 2>&1", status=1)
    expect("a node already" in said, "up again with another key of node 0 says: %s", said)
    cluster.everywhere("gvm dsm up --conf /tmp/three.conf --id {id} --keys /tmp/keys{id}")
    cluster.everywhere("share /dev/gvm/pairs {id} 2 count 50")
    said = one.run("gvm dsm status")
    expect("node 1 of 3, with a key" in said, "status says: %s", said)


def test(l):
    cluster = Cluster(l, 2, key=KEY, parameters="lease_ms=%d" % LEASE_MS)
    zero, one = cluster.nodes
    cluster.join("ram", 1024)
    one.run("share /dev/gvm/ram {id} 2 get 70")
    strangers_take_little(l, zero, one)
    one.run("gvm dsm down")
    said = one.run("gvm dsm up --conf /tmp/cluster.conf --id 1 2>&1", status=1)
    expect("not loopback" in said, "up without a key says: %s", said)
    one.run("sed 's/10\\.9\\.0\\./127.0.0./' /tmp/cluster.conf > /tmp/own.conf; gvm dsm up --conf /tmp/own.conf --id 1")
    for key, reason in REFUSED:
        one.run("gvm dsm down")
        forget(cluster.nodes)
        cluster.up(one, "bb", key)
        refused(zero, one, reason)
    one.run("gvm dsm down")
    cluster.up(one, "bb", KEY)
    one.run("gvm dsm down; sed '/^1 /s/9999/9998/' /tmp/cluster.conf > /tmp/moved.conf")
    forget(cluster.nodes)
    one.run("gvm dsm up --conf /tmp/moved.conf --id 1 --key /tmp/key")
    refused(zero, one, "has another address")
    one.run("gvm dsm down --force && rmmod giantvm_kvm && insmod /lib/giantvm_kvm.ko lease_ms=%d" % (2 * LEASE_MS))
    forget(cluster.nodes)
    cluster.up(one, "bb", KEY)
    refused(zero, one, "another lease_ms")

    one.run("gvm dsm down --force && rmmod giantvm_kvm && date -s @$(($(date +%s) - 3600))")
    cluster.load(one)
    said = one.run("umask 077; echo another key of it > /tmp/other; gvm dsm up --conf /tmp/cluster.conf --id 1 --key /tmp/other 2>&1",
                   status=1)
    expect("a node already" in said, "up again with another key says: %s", said)
    one.run("gvm dsm join ram")
    forget([one])
    one.run("share /dev/gvm/ram {id} 2 get 70")
    hears([one], "clock was set back")
    cluster.join("new", 64)
    cluster.everywhere("share /dev/gvm/new {id} 2 count 50")
    on_path(cluster)
    pair_keys(cluster)
    cluster.close()


main(test)
