# SPDX-License-Identifier: GPL-2.0-or-later
"""The dashboard for Grafana, tools/grafana/gvm.json: what its panels ask Prometheus for."""

import json
import os
import re
import subprocess

from lab import SOURCE, expect

UNITS = {"bytes", "Bps", "s", "ops", "none", "percentunit", "bool_yes_no"}


def panels():
    with open(os.path.join(SOURCE, "tools/grafana/gvm.json")) as f:
        board = json.load(f)
    found = [panel for panel in board["panels"] if panel["type"] != "row"]
    for panel in found:
        name = panel["title"]
        expect(panel["fieldConfig"]["defaults"].get("unit") in UNITS, "%s has no unit", name)
        expect(panel["targets"] and all(target["expr"] and target["legendFormat"] for target in panel["targets"]),
               "%s shows nothing, or has no legend", name)
    for what, seen in (("ids", [p["id"] for p in board["panels"]]), ("titles", [p["title"] for p in found])):
        expect(len(set(seen)) == len(seen), "%s twice: %s", what, seen)
    places = sorted((p["gridPos"]["y"], p["gridPos"]["x"], p["gridPos"]["w"]) for p in board["panels"])
    for (y, x, w), (next_y, next_x, _) in zip(places, places[1:]):
        expect(next_y > y or next_x >= x + w, "panels stand over each other at %d, %d", next_x, next_y)
    return found


def names():
    """The metrics that are asked for."""
    text = json.dumps([target["expr"] for panel in panels() for target in panel["targets"]])
    with open(os.path.join(SOURCE, "tools/grafana/gvm.json")) as f:
        text += "".join(re.findall(r"label_values\\((.*?)\\)", f.read()))
    return set(re.findall(r"gvm_[a-z0-9_]+", text))


def judge(l):
    """promtool reads every question as a rule."""
    path = l.path("rules.yml")
    with open(path, "w") as f:
        f.write("groups:\n- name: gvm\n  rules:\n")
        for number, expr in enumerate(target["expr"] for panel in panels() for target in panel["targets"]):
            expr = expr.replace("$__rate_interval", "5m").replace("$mount", ".*").replace("$region", ".*")
            f.write("  - record: asked:%d\n    expr: %s\n" % (number, json.dumps(expr)))
    done = subprocess.run(["promtool", "check", "rules", path], text=True, capture_output=True)
    expect(done.returncode == 0, "promtool: %s%s", done.stdout, done.stderr)
