# SPDX-License-Identifier: GPL-2.0-or-later
"""The one reader of what GVM and the kernel count: lines of `name value`, as in user.gvm.stats, in the
module's stats, in memory.stat."""


def numbers(text):
    """{name: value} of the lines whose value is a decimal number. Beside counters such a text may say
    what is none (a region's id, the state of a share), now or later: that is left out."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isascii() and words[1].lstrip("-").isdigit():
            found[words[0]] = int(words[1])
    return found
