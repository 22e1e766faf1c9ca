#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What gvm attach copies into other processes (tools/attach/clerk.c) refers to nothing outside of what is copied: whatever
compiler and options made it, there is no library, constant or variable there."""

import glob
import os
import re
import subprocess
import sys

objects = glob.glob(os.path.join(os.environ["GVM_BUILD"], "tools/libclerk.a.p/*.o"))
if len(objects) != 1:
    sys.exit("there are %d objects of the clerk" % len(objects))
text = subprocess.run(["readelf", "-rWs", objects[0]], check=True, capture_output=True, text=True).stdout
section = subprocess.run(["readelf", "-SW", objects[0]], check=True, capture_output=True, text=True).stdout
number = re.search(r"\[ *(\d+)\] gvm_clerk ", section).group(1)
inside = set(re.findall(r"^ *\d+: \w+ +\d+ \w+ +\w+ +\w+ +%s (\S+)$" % number, text, re.M)) | {"gvm_clerk"}
relocations = re.search(r"'\.relagvm_clerk'.*?\n\n", text, re.S)
named = set(re.findall(r"R_X86_64_\w+ +\w+ (\S+)", relocations.group(0))) if relocations else set()
if not named or "clerk_main" not in inside:
    sys.exit("the object is not understood: %s, %s" % (named, inside))
if named - inside:
    sys.exit("it refers to what is not copied: %s" % ", ".join(sorted(named - inside)))
