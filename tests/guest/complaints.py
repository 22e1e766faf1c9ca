#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests' kernels complain of, as whole reports out of their consoles' logs.

    tests/guest/complaints.py FILE...

prints them, and fails if there are any.
"""

import re
import sys

COMPLAINT = re.compile(
    r"BUG:|kernel BUG|WARNING:|Oops|general protection|KASAN|ODEBUG|list_(?:add|del) corruption|"
    r"refcount_t|Bad page|page dumped because|possible (?:circular|recursive|irq)|"
    r"inconsistent lock state|held lock freed|locks? still held|non-static key|"
    r"turning off the locking correctness validator|[Ss]uspicious RCU|sleeping function called|"
    r"blocked for more than|lockup|self-detected stall|detected stalls|kmemleak: |leaked|"
    r"Out of memory|Kernel panic|Call Trace:")
# Said of the debug kernel itself, at boot.
NO_COMPLAINT = re.compile(r"kmemleak: Kernel memory leak detector initialized|"
                          r"kmemleak: Automatic memory scanning")
LINE = re.compile(r"^\[ *(\d+\.\d+)\]")
LINES_MAX = 200
BEFORE = 3     # lines of the same report that may stand before the one that tells it
PAUSE = 0.5    # seconds of the guest's; a report comes in one go


def reports(text):
    """A list of reports, each a string."""
    lines = [(LINE.match(line), line) for line in text.replace("\r", "").splitlines()]
    lines = [(float(stamp.group(1)), line) for stamp, line in lines if stamp]
    found, at = [], 0
    while at < len(lines):
        if not COMPLAINT.search(lines[at][1]) or NO_COMPLAINT.search(lines[at][1]):
            at += 1
            continue
        begin = end = at
        while begin > 0 and at - begin < BEFORE and lines[at][0] - lines[begin - 1][0] < 0.1:
            begin -= 1
        while (end + 1 < len(lines) and end + 1 - at < LINES_MAX
               and lines[end + 1][0] - lines[end][0] < PAUSE):
            end += 1
        found.append("\n".join(line for _, line in lines[begin:end + 1]))
        at = end + 1
    return found


def main():
    status = 0
    for path in sys.argv[1:]:
        with open(path, errors="replace") as f:
            for report in reports(f.read()):
                print("%s:\n%s\n" % (path, report))
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
