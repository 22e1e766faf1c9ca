#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/demo --kernel, in its short form: the guest on host 0 is well, another host reads its banner,
and the table has figures for each of the three."""

import re

from cluster import expect, main  # first: it says where the others are
import demonstration

ROWS = ["pages here now", "read faults", "write faults", "waited for another host", "sent home",
        "taken away", "lost", "us for each of these waits"]


def test(l):
    said = demonstration.run(l, "--kernel", seconds=420)
    rows = demonstration.rows(said)
    figures = {}
    for name in ROWS:
        expect(name in rows, "no row '%s' in the table:\n%s", name, said)
        figures[name] = rows[name].split()
        expect(len(figures[name]) == 3 and all(re.fullmatch(r"\d+|-", f) for f in figures[name]),
               "%s: %s", name, figures[name])
    expect(figures["lost"] == ["0", "0", "0"], "lost: %s", figures["lost"])
    for name in ("pages here now", "read faults", "write faults", "waited for another host",
                 "sent home", "us for each of these waits"):
        expect(int(figures[name][0].replace("-", "0")) > 0, "host 0, %s: %s", name, figures[name])
    expect(int(figures["pages here now"][2]) > 0, "host 2 lends nothing: %s", rows)
    # It reads with read(), which is no fault of a mapping.
    expect(int(figures["waited for another host"][1]) > 0, "host 1 has read nothing: %s", rows)
    expect(rows["guest's verdict"] == "pass", "%s", rows["guest's verdict"])
    expect(re.search(r"^    Linux version \d", said, re.M), "no banner:\n%s", said)
    expect(len(re.findall(r"^    host[01]: .+$", said, re.M)) >= 2, "no counts:\n%s", said)


main(test)
