# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a C file of the page's parts: embed.py OUTPUT FILE...; each is `const char page_NAME[]`, `.` in it being `_`."""

import os
import sys

with open(sys.argv[1], "w") as to:
    to.write('/* Made by embed.py. */\n#include "tools/metrics/page_parts.h"\n')
    for path in sys.argv[2:]:
        with open(path, "rb") as f:
            lines = f.read().splitlines(keepends=True)
        to.write("\nconst char %s[] =\n" % os.path.basename(path).replace(".", "_"))
        for line in lines:
            to.write('\t"%s"\n' % "".join(chr(c) if 32 <= c < 127 and chr(c) not in '"\\?' else "\\%03o" % c for c in line))
        to.write("\t;\n")
