#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The module builds without a warning for every kernel that Debian offers here, the newest of all and by
DKMS, too; sparse and Linux's own checkpatch find nothing in it; it says its version and describes every
parameter. What was built or looked at once is not again, until something changes."""

import os
import re
import shutil
import subprocess

from cluster import expect, main  # first: it says where the others are
import debian
import headers
import kernel
import kmod
import lab
import linux_source
import prepare

# What checkpatch says and is not meant for us, and why. What guards what is said at the fields that
# a lock guards, not at the lock; a macro that is a loop uses its arguments more than once.
NOT_MEANT = ["UNCOMMENTED_DEFINITION", "MACRO_ARG_REUSE"]
NOT_MEANT_IN = {
    # the one file that is for several kernels
    "compat.h": ["LINUX_VERSION_CODE", "CONSTANT_COMPARISON"],
    # the form that all of Linux writes its trace events in; TRACE_INCLUDE_FILE is the file's name
    "trace.h": ["OPEN_ENDED_LINE", "PARENTHESIS_ALIGNMENT", "EMBEDDED_FILENAME"],
    # what programs include, too, who have no BIT()
    "giantvm.h": ["BIT_MACRO"],
    # makes the kernel's types known outside of it
    "wire.h": ["PREFER_KERNEL_TYPES"],
}


def info(path, field):
    return subprocess.run(["modinfo", "-F", field, path], check=True, text=True,
                          capture_output=True).stdout.split("\n")[:-1]


def says_what_it_is(path):
    expect(info(path, "version") and info(path, "description"), "there is no version or description")
    described = {line.partition(":")[0] for line in info(path, "parm")}
    taken = {line.partition(":")[0] for line in info(path, "parmtype")}
    expect(taken == described and taken, "parameters %s, described %s", taken, described)


def builds_everywhere(l):
    with debian.CacheLock():
        found = [(headers.of_meta(meta, suite), build) for meta, suite, build in prepare.HEADERS]
    for tree, build in found:
        build(tree)
        l.log("builds for %s", os.path.basename(tree))


def checkpatch_finds_nothing():
    with debian.CacheLock():
        program = linux_source.checkpatch()

    def produce(work):
        said = ""
        for name in kmod.sources():
            if not name.endswith((".c", ".h")):
                continue
            ignored = NOT_MEANT + NOT_MEANT_IN.get(os.path.basename(name), [])
            done = subprocess.run(
                ["perl", program, "--no-tree", "--strict", "--terse", "--show-types", "--no-summary",
                 "--ignore", ",".join(ignored), "-f", name], cwd=kmod.SOURCE, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            expect(done.returncode == 0 or done.stdout, "checkpatch fails with %s", name)
            said += done.stdout
        with open(os.path.join(work, "checkpatch"), "w") as f:
            f.write(said)
    with open(kmod.cached(program, "checkpatch", (NOT_MEANT, NOT_MEANT_IN), produce)) as f:
        said = f.read().strip()
    expect(not said, "checkpatch finds:\n%s", said)


def sparse_finds_nothing(tree):
    if not shutil.which("sparse"):
        lab.skip("sparse", "the package sparse is not installed")
    said = kmod.build_log(tree, "C=2", "CF=-D__CHECK_ENDIAN__")
    found = [line for line in said.splitlines() if re.search(r"kmod/.*(warning|error)", line)]
    expect(not found, "sparse finds:\n%s", "\n".join(found))


def test(l):
    says_what_it_is(kmod.module())
    builds_everywhere(l)
    with debian.CacheLock(), kernel.choose("cloud"):
        tree = kernel.Kernel().headers()
    checkpatch_finds_nothing()
    l.log("checkpatch finds nothing")
    sparse_finds_nothing(tree)


main(test)
