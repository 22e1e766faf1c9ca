#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A region that one host creates is joined by those that lend memory, found by others under its name, and
refused with another size; there is room for hundreds; it can be read as a file; a home that was away learns of it;
the list of nodes changes meanwhile; and each mistake gets its sentence."""

import json
import re

from cluster import Cluster, expect, lab, main

KILLED = 128 + 15


def waits_for_others(node, calls):
    """Until that many calls there wait for other nodes to agree."""
    node.second.until("[ $(cat $(pidof gvm | sed 's|[0-9]*|/proc/&/stack|g') | grep -c gvm_agree_wait) -eq %d ]" % calls)


def fails(node, command, reason):
    said = node.run("gvm dsm %s 2>&1" % command, status=1)
    expect(reason in said, "%s says '%s', not '%s'", command, said.strip(), reason)


def lends(node, mib):
    node.run("echo %d > /sys/module/giantvm_kvm/parameters/lend_mb" % mib)


def json_says_what_people_are_told(node):
    said, told = node.run("gvm dsm status"), json.loads(node.run("gvm dsm status --json"))
    expect("node %d of %d, with%s a key" % (told["node"], len(told["nodes"]), "" if told["key"] else "out") in said, "%s, %s", said, told)
    for each in told["nodes"]:
        roles = ",".join(role for role in ("cpu", "mem") if each[role])
        expect(re.search(r"^ +%d +%s +%s +%s" % (each["id"], re.escape(each["address"]), roles, each["state"]), said, re.M),
               "%s, %s", said, each)
    for each in told["regions"]:
        expect(re.search(r"^ +%s " % re.escape(each["name"]), said, re.M) and each["size_bytes"] > 0, "%s, %s", said, each)
    one = json.loads(node.run("gvm dsm status --json " + told["regions"][0]["name"]))
    expect(one.keys() == told["regions"][0].keys() | {"contended"}, "%s", one)


def up_after(node, change, status=0):
    """With its list as sed has changed it."""
    return node.run("sed '%s' /tmp/cluster.conf > /tmp/changed.conf; gvm dsm up --conf /tmp/changed.conf --id {id} "
                    "--key /tmp/key 2>&1" % change, status=status)


def leases_ended(cluster):
    return [node.counter("lease_expiries", "lent") for node in cluster.nodes]


def node_moves(cluster):
    """A node gets another address while all use a region: connections are made from and to that one, and no lease
    ends."""
    zero, one, two = cluster.nodes
    before, moved = leases_ended(cluster), "s/^1 10.9.0.2:/1 10.9.0.22:/"
    # Where the first address of a network goes, its others are to stay.
    one.run("echo 1 > /proc/sys/net/ipv4/conf/eth0/promote_secondaries; ip addr add 10.9.0.22/24 dev eth0")
    for node in zero, two:
        node.begin("share /dev/gvm/lent {id} 3 beat %d /tmp/end > /tmp/beat" % (70 + 32 * node.id))
        node.second.until("grep begun /tmp/beat")
    one.begin("until [ -e /tmp/end ]; do for page in 70 134; do share /dev/gvm/lent {id} 3 get $page || exit; done; "
              "done > /dev/null")
    for node in one, zero, two:
        node.second.run("sed -i '%s' /tmp/cluster.conf; gvm dsm up --conf /tmp/cluster.conf --id {id} --key /tmp/key"
                        % moved)
    one.second.until("! netstat -tn | grep ESTABLISHED | grep '10.9.0.2:'")
    one.second.run("ip addr del 10.9.0.2/24 dev eth0")
    for node in zero, one, two:
        node.second.run("touch /tmp/end")
    for node in zero, one, two:
        node.answer()
    cluster.everywhere("share /dev/gvm/lent {id} 3 count 20")
    expect(leases_ended(cluster) == before, "leases have ended: %s, then %s", before, leases_ended(cluster))


def node_is_forgotten(cluster):
    """Not one that has pages of a region, or keeps some. One that has left is; it comes back as any other."""
    zero, one, two = cluster.nodes
    one.run("share /dev/gvm/lent {id} 3 fill 80 4 1")  # node 0 is their home
    for change in "/^1/d", "/^2/d", "/^0/s/,mem//":
        said = up_after(zero, change, status=1)
        expect("pages of this host" in said, "up with a list after %s says: %s", change, said)
    for node in zero, two, one:
        node.run("gvm dsm leave ram")  # it is a home of that one
    one.run("gvm dsm down")
    for node in zero, two:
        up_after(node, "/^1/d")
    said = zero.run("gvm dsm status")
    expect("node 0 of 2" in said and "10.9.0.22" not in said, "status says:\n%s", said)
    zero.run("dmesg -c > /dev/null")
    one.run("gvm dsm up --conf /tmp/cluster.conf --id 1 --key /tmp/key")
    one.begin("gvm dsm join --wait 600 lent & echo $! > /tmp/join; wait $!")
    zero.shell.until("dmesg | grep 'node 1 is not in this node.s list'")
    one.second.run("kill $(cat /tmp/join)")
    one.answer(status=KILLED)
    zero.run("share /dev/gvm/lent 0 2 fill 80 4 2")
    for node in zero, two:
        node.run("gvm dsm up --conf /tmp/cluster.conf --id {id} --key /tmp/key")
    one.run("gvm dsm join lent && share /dev/gvm/lent {id} 3 check 80 4 2")


def test(l):
    # A host that stands still for a while loses nothing.
    cluster = Cluster(l, 3, roles="cbm", parameters="lease_ms=60000")
    zero, one, two = cluster.nodes
    fails(zero, "join ram", "no node that lends memory has it")
    zero.run("gvm dsm create ram 1M")
    for node in one, two:
        node.run("gvm dsm status ram")  # joined, though nobody said so there
    fails(one, "create ram 1M", "exists already, with 1 MiB")
    fails(one, "create ram 2M", "exists already, with 1 MiB")
    fails(one, "join ram 2M", "another size")
    fails(one, "join .. 2M", "not a name")
    fails(one, "join odd 5000", "not a size in pages")
    one.run("gvm dsm join ram")
    share = "share /dev/gvm/ram {id} 3 "
    zero.run(share + "fill 16 32 1")
    one.run(share + "check 16 32 1")
    # The file can be read as well as mapped, by whichever host.
    sums = [node.run("dd if=%s bs=4096 skip=16 count=32 2>/dev/null | md5sum" % path)
            for node, path in ((zero, "/dev/gvm/ram"), (one, "/dev/gvm/ram"), (one, "/dev/zero"))]
    expect(sums[0] == sums[1] != sums[2], "sums of what was read: %s", sums)
    said = one.run("dd if=/dev/gvm/ram bs=5000 2>/dev/null | wc -c").strip()
    expect(said == "1048576", "%s bytes can be read of 1 MiB", said)

    # A region may have its own homes: what others lend is not for it. Its name is theirs, too.
    zero.run("gvm dsm create --homes 2 own 1M")
    fails(one, "status own", "not joined on this host")
    fails(one, "create --homes 1 own 1M", "exists already")
    fails(zero, "create --homes 0,2 odd 1M", "no node that lends memory")
    one.run("gvm dsm join own")
    zero.run("share /dev/gvm/own {id} 3 fill 16 32 1")
    one.run("share /dev/gvm/own {id} 3 check 16 32 1")
    said = "".join(node.run("grep -E '^(share|homes)' /sys/kernel/debug/giantvm/own/stats") for node in (one, two))
    expect(said.split() == "share none homes 2 share open homes 2".split(), "the shares are: %s", said)
    for node in one, zero, two:
        node.run("gvm dsm leave own")

    # There is room for more than the misc devices of a host are; what has gone is not opened any more.
    for node, call in (zero, "create 200 60000"), (one, "leave 200"), (two, "leave 200"), (zero, "leave 200"):
        if node is one:
            zero.run("cp -a /dev/gvm/many150 /tmp/stale && cat /tmp/stale > /dev/null")
        said = node.run(share + call)
        expect("200 of 200" in said, "%s says: %s", call, said)
    said = zero.run("cat /tmp/stale 2>&1", status=1) + "".join(cluster.everywhere("ls /dev/gvm"))
    expect("No such device or address" in said and said.split()[-3:] == ["ram"] * 3, "left are: %s", said)

    # A node that joins only here, with another size, meets the others at the first chance.
    two.run("gvm dsm leave ram")
    two.run("dmesg -c > /dev/null")
    fails(two, "join ram 2M", "another size")
    fails(two, "status ram", "not joined on this host")

    # A node with the role mem lends so much, and no more: a region has to fit, unless its creator asks otherwise.
    for node in zero, one:
        fails(node, "create big 1G", "what it lends")
        fails(node, "status big", "not joined on this host")
    lends(two, 64)
    zero.run("gvm dsm create most 100M")
    fails(zero, "create more 40M", "what it lends")
    fails(two, "status more", "not joined on this host")
    for node in zero, one, two:
        node.run("gvm dsm leave most")
    zero.run("gvm dsm create more 40M && gvm dsm leave more")
    for node in one, two:
        lends(node, 100 << 20)

    # A region of half a terabyte is a matter of pointers, until it is used.
    zero.run("gvm dsm create large 512G")
    zero.run("share /dev/gvm/large {id} 3 fill 100000000 4 1")
    zero.run("gvm dsm leave large")

    # But of eight, the pointers do not fit into a home.
    fails(one, "create huge 8T", "does not fit")
    fails(zero, "create huge 8T", "cannot join it")
    fails(zero, "status huge", "not joined on this host")

    # Without a home nothing is agreed on, unless one insists; it is told when it is back. Of a region that has
    # other homes it is none.
    two.run("gvm dsm down")
    zero.run("gvm dsm create --homes 1 else 1M && gvm dsm leave else")
    one.run("gvm dsm leave else")
    zero.begin("gvm dsm create wanted --wait 600 1M & echo $! > /tmp/wanted; wait $!")
    fails(zero.second, "create late --wait 1 1M", "not every node")
    fails(zero.second, "status late", "not joined on this host")
    fails(one, "create gone --wait 1 1M", "not every node")
    one.run("until gvm dsm join wanted --wait 0 1M; do sleep 0.1; done 2>&1")  # on the offer of node 0
    zero.second.run("kill $(cat /tmp/wanted)")
    zero.answer(status=KILLED)
    # A node that joined on that offer alone leaves; one that was told to join stays.
    one.shell.until("! gvm dsm status late")
    one.run("gvm dsm status wanted && gvm dsm leave wanted")
    zero.run("gvm dsm create late --wait 0 1M")
    zero.run("gvm dsm create cut --wait 0 1M")
    one.shell.until("gvm dsm status cut")
    zero.run("gvm dsm leave cut")  # whoever has it lets it go
    one.shell.until("! gvm dsm status cut")
    # Nor does the host itself, if somebody else there waits for it longer than the first one did.
    zero.begin("gvm dsm create both --wait 600 1M & echo $! > /tmp/both; wait $!")
    waits_for_others(zero, 1)
    zero.second.run("gvm dsm join both --wait 600 1M > /tmp/joined 2>&1 & ")
    waits_for_others(zero, 2)
    zero.second.run("kill $(cat /tmp/both)")
    zero.answer(status=KILLED)
    cluster.up(two, cluster.roles, cluster.key)
    zero.second.until("! pidof gvm")
    said = zero.run("cat /tmp/joined")
    expect(not said, "the one that waits for longer says: %s", said)
    two.run("gvm dsm status both")
    zero.run("gvm dsm create cut 1M && gvm dsm leave cut")
    fails(zero, "create cut --wait 0 1M", "exists already")
    zero.run("gvm dsm status both && gvm dsm leave both")
    zero.run("share /dev/gvm/late {id} 3 fill 16 32 1")
    two.run("gvm dsm status late")
    fails(two, "status gone", "not joined on this host")  # though the offer has come, late

    json_says_what_people_are_told(one)
    said = one.run("gvm dsm status")
    l.log("%s", said)
    expect("node 1 of 3, with a key" in said and "this host" in said and "connected" in said
           and "late" in said, "status says:\n%s", said)
    one.begin("share /dev/gvm/ram {id} 3 beat 90 /tmp/end > /tmp/beat")
    one.second.until("grep begun /tmp/beat")
    said = one.second.run("gvm dsm leave ram 2>&1", status=1)
    expect("has it open" in said, "leave of an open region says: %s", said)
    one.second.run("touch /tmp/end")
    one.answer()

    # What its creator has not completed nobody joins; where that one has begun anew, it creates another one.
    two.run("gvm dsm down --force")
    zero.run("gvm dsm create half --wait 0 1M")
    one.shell.until("gvm dsm status half")
    cluster.network("cut 0")
    zero.run("gvm dsm down --force && rmmod giantvm_kvm")
    cluster.up(two, cluster.roles, cluster.key)
    # Not every node may have answered within a second or two.
    lab.wait_for("node 1 to hear that it is incomplete", lambda: "has not done so" in one.run(
        "gvm dsm join half --wait 2 2>&1", status=1))
    fails(one, "create half --wait 2 1M", "exists already, with 1 MiB")
    cluster.network("heal 0")
    cluster.load(zero)
    zero.run("gvm dsm create half 2M")
    fails(one, "join half 1M", "another size")
    one.run("gvm dsm join half 2M")

    # The list grows while a region is in use. Until a node has the new one it gives nothing to those that its own lacks.
    cluster.everywhere("gvm dsm down --force")
    for node in zero, one:
        cluster.up(node, "cb", cluster.key)
    zero.run("gvm dsm create ram 1M")
    zero.run(share + "fill 16 32 1")
    for node in one, two:
        cluster.up(node, "cbm", cluster.key)
    two.run("gvm dsm join ram")
    two.begin(share + "check 16 32 1")
    zero.shell.until("dmesg | grep 'ram: node 2 is not in this node.s list'")
    cluster.up(zero, "cbm", cluster.key)
    two.answer()
    zero.run("gvm dsm create --homes 2 grown 1M")
    one.run("gvm dsm join grown")
    cluster.everywhere("gvm dsm status grown && share /dev/gvm/grown {id} 3 count 20")
    # One more that lends memory is one of the homes to choose from.
    fails(one, "create --homes 0 lent 1M", "no node that lends memory")
    for node in cluster.nodes:
        cluster.up(node, "bbm", cluster.key)
    one.run("gvm dsm create --homes 0 lent 1M")
    two.run("gvm dsm join lent")
    cluster.everywhere("share /dev/gvm/lent {id} 3 count 20")
    node_moves(cluster)
    node_is_forgotten(cluster)
    cluster.close()


main(test)
