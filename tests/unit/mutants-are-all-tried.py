#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every deliberate fault in gvmfs's, the node's and the module's sources is described in mutant.h there, and a test has to notice it."""

import os
import re
import sys

ROOT = os.environ.get("GVM_SOURCE_ROOT") or os.path.join(os.path.dirname(__file__), "..", "..")
# Another kernel rather than a fault; and one of what no list has the program for: tests/system runs them.
OTHER_KERNELS = {"no-nowait", "renewed-in-vain"}


def texts(folder, suffixes):
    for path, _, names in os.walk(os.path.join(ROOT, folder)):
        for name in names:
            if name.endswith(suffixes):
                with open(os.path.join(path, name), encoding="utf-8") as f:
                    yield name, f.read()


sources = [text for folder in ("gvmfs", "kmod", "memnode") for text in texts(folder, (".c", ".h"))]
used = {name for _, text in sources for name in re.findall(r'\b(?:(?:gvm_)?mutant|PUT_MUTANT)\("([^"]+)"\)', text)}
headers = "".join(text for name, text in sources if name == "mutant.h")
described = {name for line in re.findall(r"^ \*\t(\w[\w, -]*?)(?:\t|  )", headers, re.M)
             for name in re.split(", *", line.strip())}
listed = {line.split()[0] for name, text in texts("tests", ("mutants.list",))
          for line in text.splitlines() if line.strip() and not line.startswith("#")}

wrong = 0
for what, names in (("is tried by no list in tests/", used - listed - OTHER_KERNELS),
                    ("is listed in tests/, and no source has it", listed - used),
                    ("is not described in a mutant.h", used - described)):
    for name in sorted(names):
        print(f"{name}: {what}")
        wrong += 1
print(f"{len(used)} faults, {len(listed)} listed")
sys.exit(wrong > 0 or len(used) < 50)
