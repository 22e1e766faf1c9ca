# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/demo as a test runs it, and its last table as a dictionary."""

import os
import re

import lab
from lab import expect


def run(l, *options, seconds=230):
    """What it says. It leaves nothing in its TMPDIR, or says that it did not go well."""
    os.mkdir(l.path("scratch"))
    said = l.run(os.path.join(lab.SOURCE, "tools/demo"), "--short", *options, seconds=seconds,
                 env={"TMPDIR": l.path("scratch")}, status=None)
    expect(re.search(r"^All went well, \d+ s in all$", said, re.M), "%s", said)
    return said


def rows(said):
    """{label: the rest of its line} of the table, which is what follows 'What happened'."""
    table = re.search(r"^==> What happened.*\n((?:    .*\n)+)", said, re.M)
    expect(table, "there is no table:\n%s", said)
    found = {}
    for line in table.group(1).splitlines():
        label, _, value = line[4:].strip().partition("  ")
        found[label] = value.strip()
    return found
