#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/demo, in its short form: the guest is well, the table has every row, and its figures agree
with each other."""

import re

import demonstration
from lab import expect, main

MIB, PAGE, CHUNK_PAGES = 1 << 20, 4096, 32

ROWS = ["guest's RAM", "budget on this host", "most that was resident", "the way in", "chunks fetched",
        "pages fetched", "zero pages, not asked for", "chunks written back", "pages written",
        "zero pages, left out", "held by the nodes now", "time in the guest", "guest's banner",
        "redis's verdict", "gvm-fill's verdict", "guest's verdict"]


def size(value):
    found = re.fullmatch(r"(\d+) MiB", value)
    expect(found, "'%s' is no size", value)
    return int(found.group(1))


def count(value):
    expect(value.isdigit() and int(value), "'%s' is no count above 0", value)
    return int(value)


def ratio(value):
    found = re.fullmatch(r"(\d+) MiB as (\d+) MiB \((\d+\.\d) : 1\)", value)
    expect(found and int(found.group(1)) >= int(found.group(2)) > 0, "'%s' is no ratio", value)
    raw, sent, said = map(float, found.groups())
    expect((raw - 1) / (sent + 1) - 0.1 <= said <= (raw + 1) / max(sent - 1, 0.5) + 0.1,
           "'%s' is another ratio", value)
    return raw


def moved(rows, chunks, pages, zeros):
    """No more pages than these chunks have: MiB are rounded."""
    carried, left = ratio(rows[pages]) - 0.5, int(rows[zeros])
    expect(carried * MIB // PAGE + left <= count(rows[chunks]) * CHUNK_PAGES, "%s %s, but %s %s and %s %s",
           rows[chunks], chunks, rows[pages], pages, left, zeros)


def test(l):
    said = demonstration.run(l)
    rows = demonstration.rows(said)
    for name in ROWS:
        expect(name in rows, "no row '%s' in the table:\n%s", name, said)
    ram, budget = size(rows["guest's RAM"]), size(rows["budget on this host"])
    expect(budget * 4 == ram, "%d MiB here of %d", budget, ram)
    expect(budget // 2 < size(rows["most that was resident"]) <= budget + 16, "resident: %s",
           rows["most that was resident"])
    # Much of it is zeros, of which nodes hold nothing.
    expect(0 < size(rows["held by the nodes now"]) < ram, "held: %s", rows["held by the nodes now"])
    moved(rows, "chunks fetched", "pages fetched", "zero pages, not asked for")
    moved(rows, "chunks written back", "pages written", "zero pages, left out")
    waited = {"userfaultfd": "faults", "a mapped file": "faults that waited"}
    expect(rows["the way in"] in waited, "the way in: %s", rows["the way in"])
    count(rows[waited[rows["the way in"]]])
    release = re.search(r"^    guest: up after .* Linux (\S+),", said, re.M)
    expect(release, "the guest is not up:\n%s", said)
    expect(rows["guest's banner"].startswith("Linux version " + release.group(1)), "the guest runs %s: %s",
           release.group(1), rows["guest's banner"])
    for who in ("redis", "gvm-fill", "guest"):
        expect(rows[who + "'s verdict"].startswith("pass"), "%s", rows[who + "'s verdict"])
    filled = re.match(r"pass: (\d+) pages", rows["gvm-fill's verdict"])
    expect(filled and int(filled.group(1)) * PAGE > budget * MIB, "more than the budget was to be filled: %s",
           rows["gvm-fill's verdict"])


main(test)
