#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The module builds without a warning for the kernel that the guests boot, sparse finds nothing in it,
and it says its version and describes every parameter."""

import re
import shutil
import subprocess

from cluster import expect, main  # first: it says where the others are
import debian
import kernel
import kmod
import lab


def info(path, field):
    return subprocess.run(["modinfo", "-F", field, path], check=True, text=True,
                          capture_output=True).stdout.split("\n")[:-1]


def test(l):
    path = kmod.module()
    expect(info(path, "version") and info(path, "description"), "there is no version or description")
    described = {line.partition(":")[0] for line in info(path, "parm")}
    taken = {line.partition(":")[0] for line in info(path, "parmtype")}
    expect(taken == described and taken, "parameters %s, described %s", taken, described)
    if not shutil.which("sparse"):
        lab.skip("sparse", "the package sparse is not installed")
    with debian.CacheLock():
        tree = kmod.headers(kernel.Kernel().release)
    said = kmod.build_log(tree, "C=2", "CF=-D__CHECK_ENDIAN__")
    found = [line for line in said.splitlines() if re.search(r"kmod/.*(warning|error)", line)]
    expect(not found, "sparse finds:\n%s", "\n".join(found))


main(test)
