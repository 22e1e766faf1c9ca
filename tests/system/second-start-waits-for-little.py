#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a start touches of a region is recorded on its nodes, and fetched before the next one asks for it: a guest that
boots again in its region, as another host would boot it, waits for at most a twentieth of the pages that its first boot
waited for."""

import guest
import lab
from lab import expect, program, wait_for
from monitor import Monitor
from remote import Mount, Node

RAM = 192


def connected(socket):
    """Its monitor, once it listens there."""
    try:
        return Monitor(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def boot(l, nodes, number, *options, replays):
    """Boots the guest on a mount of its own, once what is to be replayed is here; gives the region's counters."""
    mount, socket = Mount(l, nodes, *options), l.path("qmp-%d" % number)
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % RAM, "--mode", "uffd", "--mount", mount.path,
                  "--region", "guest", "--",
                  *guest.command("workload", "%dM" % RAM, "-S", "-qmp", "unix:%s,server=on,wait=off" % socket,
                                 job="fill", mib=16))
    monitor = wait_for("QEMU answers", lambda: connected(socket))
    if replays:
        wait_for("what the last start touched is here",
                 lambda: mount.stats("guest")["replayed"] and not mount.stats("guest")["replay_left"])
    monitor.do("cont")
    guest.verdict(run, 90)
    mount.drained("guest")
    stats = mount.stats("guest")
    l.log("boot %d: %d faults, %d of them waited for pages; %d chunks replayed, %d of them used", number, stats["faults"],
          stats["page_misses"], stats["replayed"], stats["replay_used"])
    mount.unmount()
    return stats


def test(l):
    nodes = [Node(l, "256M"), Node(l, "256M")]
    first = boot(l, nodes, 1, replays=False)
    second = boot(l, nodes, 2, replays=True)
    expect(first["page_misses"] > 300 and not first["replayed"], "the first boot is none: %s", first)
    expect(second["page_misses"] <= first["page_misses"] // 20, "%d faults waited, of %d in the first boot",
           second["page_misses"], first["page_misses"])
    expect(second["replay_used"] > second["replayed"] // 2, "%d chunks of %d were used", second["replay_used"],
           second["replayed"])
    third = boot(l, nodes, 3, "--no-replay", replays=False)
    expect(not third["replayed"], "%d chunks are replayed with --no-replay", third["replayed"])


lab.main(test)
