#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts with the newest kernel that Debian has anywhere, with the newest that it builds for its release, and
with the release's own share one memory: the module is one source for all, and one way out of what it asks of a
kernel (slots apart: frames.h) is used by the last. What each sees is what one memory would show; and the one
with the newest, cut off for longer than its lease, goes on with what others have written meanwhile."""

import re

from cluster import Cluster, expect, kmod, lab, main

SECONDS = 4
KERNELS = ["cloud", "backports", "newest"]
LEASE_END_SECONDS = 60  # however slow the hosts are


def test(l):
    cluster = Cluster(l, len(KERNELS), kernels=KERNELS, cpus=2, built=[kmod.SLOTS_APART],
                      parameters="")  # the lease is one of those that end
    releases = [node.run("uname -r").strip() for node in cluster.nodes]
    l.log("%s", releases)
    # (The newest may be what backports has: where the system is today's stable, and unstable has none that is newer.)
    expect(releases[0] not in releases[1:], "the kernels are %s", releases)
    cluster.join("ram", 256)
    # The first nodes are those that write: each kernel is one of them.
    for first in range(len(KERNELS)):
        cluster.everywhere("share /dev/gvm/ram $(( ({id} + %d) %% 3 )) 3 litmus 20" % first)
    for said in cluster.everywhere("share /dev/gvm/ram {id} 3 torture %d 2" % SECONDS):
        l.log("%s", said.strip())
    cluster.everywhere("gvm dsm down --force")
    cut_off(l, cluster)
    cluster.close()


def cut_off(l, cluster):
    """It writes a page all the time. It is no home here: while one is away, others wait for its share."""
    for node in cluster.nodes:
        cluster.up(node, "bbc", cluster.key)
    cluster.join("other", 1024)
    zero, one, two = cluster.nodes
    share = "share /dev/gvm/other {id} 3 "
    two.begin(share + "beat 70 /tmp/end > /tmp/beat; cat /tmp/beat")
    two.second.until("grep begun /tmp/beat")
    lost, ended = zero.counter("lost_nodes", "other"), two.counter("lease_expiries", "other")
    cluster.network("cut 2")
    lab.wait_for("the end of its lease", lambda: zero.counter("lost_nodes", "other") > lost and
                 two.counter("lease_expiries", "other") > ended, LEASE_END_SECONDS)
    said = zero.run(share + "get 70", status=None)
    expect("right" not in said, "a lost page is read: %s", said)
    zero.run(share + "discard 70 1")
    one.run(share + "mark 70 1")
    cluster.network("heal 2")
    two.second.until("grep reset /tmp/beat")
    two.second.run("touch /tmp/end")
    said = two.answer()
    l.log("%s", said.strip())
    count, resets = map(int, re.search(r"count (\d+) resets (\d+)", said).groups())
    expect(resets == 1, "the count went back %d times", resets)
    seen = int(one.run(share + "get 70").splitlines()[0])
    expect(seen == count, "another host sees %d, not %d", seen, count)
    cluster.everywhere(share + "count 30", seconds=90)


main(test)
