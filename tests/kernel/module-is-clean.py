#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The module builds without a warning for every kernel that Debian offers here, the newest of all and by
DKMS, too; sparse and Linux's own checkpatch find nothing in it; it says its version and describes every
parameter. What was built, and each file that was looked at, is not again, until it changes."""

import concurrent.futures
import hashlib
import os
import re
import subprocess
import tempfile

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


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def read_words(path):
    return set(read(path).decode().split()) if os.path.exists(path) else set()


def checkpatch_finds_nothing():
    with debian.CacheLock():
        program = linux_source.checkpatch()

    def look(name):
        ignored = NOT_MEANT + NOT_MEANT_IN.get(os.path.basename(name), [])
        done = subprocess.run(
            ["perl", program, "--no-tree", "--strict", "--terse", "--show-types", "--no-summary",
             "--ignore", ",".join(ignored), "-f", name], cwd=kmod.SOURCE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(done.returncode == 0 or done.stdout, "checkpatch fails with %s", name)
        return done.stdout

    # By file: the digests of those in which it found nothing.
    found_before = os.path.join(debian.cache_root(), "modules", "%s-checkpatch" % digest(
        repr((program, NOT_MEANT, NOT_MEANT_IN)).encode()))
    clean = read_words(found_before)
    names = {name: digest(name.encode() + b"\0" + read(os.path.join(kmod.SOURCE, name)))
             for name in kmod.sources() if name.endswith((".c", ".h"))}
    new = [name for name in names if names[name] not in clean]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = dict(zip(new, pool.map(look, new)))
    if new:
        with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(found_before), prefix=".module-", delete=False) as f:
            f.write("".join(names[name] + "\n" for name in names if not said.get(name)))
        os.chmod(f.name, 0o644)
        os.rename(f.name, found_before)
    expect(not any(said.values()), "checkpatch finds:\n%s", "".join(said.values()))


def sparse_finds_nothing(tree):
    if not kmod.checker():
        lab.skip("sparse", "the package sparse is not installed")
    said = kmod.build_log(tree)
    expect("CHECK  " in said, "sparse has looked at nothing:\n%s", said)
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
