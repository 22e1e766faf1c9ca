# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/demo as a test runs it, and its last table as a dictionary."""

import os
import re

import lab
from lab import expect


SHIM = """#!/bin/sh
echo "python3: no version is set" >&2
exit 127
"""


def hostile_environment(l):
    """A plain su's PATH, without the folders of root's programs, with a version manager in front that has
    no Python; the home folder of nobody here; and in this network no IPv6."""
    shims = l.path("shims")
    os.mkdir(shims)
    with open(os.path.join(shims, "python3"), "w") as f:
        f.write(SHIM)
    os.chmod(os.path.join(shims, "python3"), 0o755)
    switch = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
    if os.path.exists(switch):
        with open(switch, "w") as f:
            f.write("1")
    return {"PATH": shims + ":/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent",
            "PYENV_VERSION": "none", "PYTHONPATH": shims}


def run(l, *options, seconds=200):
    """What it says. It has to leave nothing in its TMPDIR, whose path has to be a short one."""
    os.mkdir(l.path("scratch"))
    l.run("mount", "--bind", l.path("scratch"), "/mnt")
    said = l.run(os.path.join(lab.SOURCE, "tools/demo"), "--short", *options, seconds=seconds,
                 env={**hostile_environment(l), "TMPDIR": "/mnt"}, status=None)
    l.run("umount", "/mnt")
    expect(re.search(r"^All went well, \d+ s in all$", said, re.M), "%s", said)
    expect(not os.listdir(l.path("scratch")), "left behind: %s", os.listdir(l.path("scratch")))
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
