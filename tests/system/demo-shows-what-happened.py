#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/demo, in its short form: the guest is well, the table has every row, and its figures agree
with each other."""

import re

import demonstration
from lab import expect, main

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


def test(l):
    said = demonstration.run(l)
    rows = demonstration.rows(said)
    for name in ROWS:
        expect(name in rows, "no row '%s' in the table:\n%s", name, said)
    ram, budget = size(rows["guest's RAM"]), size(rows["budget on this host"])
    expect(budget * 4 == ram, "%d MiB here of %d", budget, ram)
    expect(budget // 2 < size(rows["most that was resident"]) <= budget + 16, "resident: %s",
           rows["most that was resident"])
    expect(0 < size(rows["held by the nodes now"]) <= ram, "held: %s", rows["held by the nodes now"])
    # A chunk is 32 pages: none is written in parts so small that they are fewer than its chunks.
    count(rows["chunks fetched"])
    count(rows["chunks written back"])
    ratio(rows["pages fetched"])
    ratio(rows["pages written"])
    waited = {"userfaultfd": "faults", "a mapped file": "faults that waited"}
    expect(rows["the way in"] in waited, "the way in: %s", rows["the way in"])
    count(rows[waited[rows["the way in"]]])
    expect(re.search(r"Linux version \d", rows["guest's banner"]), "%s", rows["guest's banner"])
    for who in ("redis", "gvm-fill", "guest"):
        expect(rows[who + "'s verdict"].startswith("pass"), "%s", rows[who + "'s verdict"])


main(test)
