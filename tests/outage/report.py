# SPDX-License-Identifier: GPL-2.0-or-later
"""The storm's figures: what broke, how long anything stood still for it, and whether a byte was wrong."""

import time

from workloads import quantile


def part(values, share):
    """The value that this share of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Event:
    """`stall`: the longest access that was under way between its begin and the moment when all went on, in
    seconds; `after`: how much of such an access was after all had been made whole. None where accesses fail."""

    def __init__(self, kind, kills):
        self.kind, self.kills = kind, kills
        self.began_ns = time.monotonic_ns()
        self.whole_ns = self.ended_ns = None
        self.stall = self.after = None

    def judge(self, waits):
        over = [(began, began + took) for began, took in waits
                if began < self.ended_ns and began + took > self.began_ns]
        self.stall = max([end - began for began, end in over], default=0) / 1e9
        self.after = max([end - max(began, self.whole_ns) for began, end in over if end > self.whole_ns],
                         default=0) / 1e9


def row(name, events):
    stalls = [event.stall for event in events if event.stall is not None]
    figures = "%10s %8s %8s %8s" % ("-", "-", "-", "-")
    if stalls:
        figures = "%10.3f %8.3f %8.3f %8.3f" % (part(stalls, 0.5), part(stalls, 0.99), max(stalls),
                                                max(event.after for event in events if event.stall is not None))
    return "%-24s %6d %6d %s" % (name, len(events), sum(event.kills for event in events), figures)


def table(events):
    """A line for each kind of fault. Where two overlap, both have the longer stall."""
    lines = ["%-24s %6s %6s %10s %8s %8s %8s" % ("fault", "times", "kills", "stall p50", "p99", "longest", "after")]
    for kind in sorted({event.kind for event in events}):
        lines.append(row(kind, [event for event in events if event.kind == kind]))
    return lines + [row("all", events)]


def longest(events, started):
    """When the longest stalls began, by the log's clock."""
    stalls = sorted((event for event in events if event.stall), key=lambda event: -event.stall)[:4]
    return "longest: " + "; ".join("%.3f s, %s at %.2f" % (event.stall, event.kind, event.began_ns / 1e9 - started)
                                   for event in stalls)


def accesses(workload):
    buckets, counts = workload.ledger.buckets(), workload.ledger.counts()
    longest = max([took for _, took in workload.ledger.waits()], default=0) / 1e9
    return ("%-24s %9d checks %9d writes %6d syncs; access p50 %.0f us, p99 %.1f ms, longest %.2f s"
            % (workload.name, counts["checks"], counts["writes"], counts["syncs"], quantile(buckets, 0.5) * 1e6,
               quantile(buckets, 0.99) * 1e3, longest))
