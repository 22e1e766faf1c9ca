#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One mount serves more regions on the fast path than a machine word has bits, beside many others and one of 4 TiB,
after its worker's death too; `gvm bench scale` says so with every figure, and leaves nothing behind."""

import glob
import json
import os

import lab
from lab import descendants, expect, program, wait_for

WHEN = ["alone", "sessions", "files", "listing", "huge", "shrink"]
MEASURES = (["mount", "nodes", "regions", "region_make", "region_make_more", "sessions", "attach_all", "attach_max",
             "files", "list_max", "turn_files", "turn_listing", "huge_make", "huge_open", "huge_attach", "huge_seek",
             "huge_shrink", "resident"]
            + ["fault_%s%s" % (what, when) for what in ("", "p99_", "max_") for when in WHEN]
            + ["fault_killed_%s" % when for when in ("sessions", "files", "huge", "load", "resident")]
            + ["memory_%s" % when for when in WHEN if when != "listing"])


def test(l):
    run = l.start("scale", program("gvm"), "bench", "scale", "--quick", "--json", l.path("result"),
                  env={"TMPDIR": l.folder})
    run.succeed(240)
    with open(l.path("result")) as f:
        found = {row["name"]: row["value"] for row in json.load(f)["scale"]}
    expect(sorted(found) == sorted(MEASURES), "measures %s", sorted(set(found) ^ set(MEASURES)))
    expect(all(value > 0 for value in found.values()), "%s", found)
    expect(found["sessions"] == 40, "%s", found)
    expect(found["files"] == 150, "%s", found)
    for when in WHEN:
        expect(found["fault_" + when] <= found["fault_p99_" + when] <= found["fault_max_" + when], "%s", found)
    wait_for("nothing of it runs", lambda: not descendants(), 10)
    expect(not glob.glob(l.path("gvm-bench.*")), "%s", os.listdir(l.folder))


lab.main(test)
