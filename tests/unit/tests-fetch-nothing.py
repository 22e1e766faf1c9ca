#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What downloads refuses inside a test, whatever the cache has, and says what to run instead; before
tests a failed download is tried again. apt is a stand-in that writes down that it was called."""

import os
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "tests/guest"))

import debian  # noqa: E402
import headers  # noqa: E402
import kernel  # noqa: E402
import linux_source  # noqa: E402
import newest  # noqa: E402
import release  # noqa: E402

APT = """#!/bin/sh
echo "$0 $*" >>"$APT_CALLS"
[ "$(wc -l <"$APT_CALLS")" -ge "${APT_WORKS_AT:-1000}" ] || { echo "no such host" >&2; exit 100; }
"""


def refused(what, attempt):
    try:
        found = attempt()
    except debian.NotPrepared as why:
        assert "tools/check --prepare" in str(why) and "\n" not in str(why), why
    else:
        sys.exit("%s: not refused, but %s" % (what, found))


def calls():
    if not os.path.exists(os.environ["APT_CALLS"]):
        return 0
    with open(os.environ["APT_CALLS"]) as f:
        return len(f.readlines())


def cached(cache, key):
    """A package in the cache, resolved two days ago."""
    tree = os.path.join(cache, "packages", key + "_1")
    os.makedirs(tree, exist_ok=True)
    path = os.path.join(cache, "resolved-" + key)
    with open(path, "w") as f:
        f.write(tree)
    os.utime(path, (1e9, 1e9))
    return tree


def inside_a_test(cache):
    os.environ["GVM_TEST"] = "1"
    refused("the guests' kernel", kernel.Kernel)
    refused("headers", lambda: headers.of("6.1.0"))
    refused("headers of backports", lambda: headers.of_meta("linux-headers-amd64", "backports"))
    refused("the newest kernel", newest.trees)
    refused("a release's system", lambda: release.system("trixie"))
    refused("a release's packages", lambda: release.packages("trixie"))
    refused("Linux's source", linux_source.checkpatch)
    tree = cached(cache, "kernel")
    refused("a package that is unpacked", lambda: debian.unpacked(["kernel"]))
    # An old answer is taken as it is: apt is asked before tests only.
    assert debian.remembered("kernel", lambda: debian.unpacked(["kernel"])) == [tree]
    # tools/check says what it has prepared, and nothing else counts, though the cache has it.
    os.environ["GVM_PREPARED"] = os.path.join(cache, "prepared")
    refused("what nothing has prepared", lambda: debian.remembered("kernel", lambda: None))
    with open(os.environ["GVM_PREPARED"], "w") as f:
        f.write("kernel\n")
    assert debian.remembered("kernel", lambda: None) == [tree]
    done = subprocess.run([os.path.join(TOP, "qemu/build")], text=True, capture_output=True)
    assert done.returncode == 1 and "tools/check --prepare" in done.stderr, done
    assert calls() == 0, "apt was asked inside a test"
    del os.environ["GVM_TEST"]


def before_tests(cache):
    debian.PAUSES = (0, 0, 0)
    # What apt says anew is asked for, in vain, and what the cache has goes on being used.
    tree = cached(cache, "redis")
    assert debian.remembered("redis", lambda: debian.unpacked(["redis"])) == [tree]
    assert calls() > 0
    with open(os.environ["GVM_PREPARED"]) as f:
        assert "redis" in f.read().split()
    # The third attempt succeeds.
    os.unlink(os.environ["APT_CALLS"])
    os.environ["APT_WORKS_AT"] = "3"
    debian._run(["apt-get", "update"], "cannot fetch")
    assert calls() == 3
    # None does.
    os.unlink(os.environ["APT_CALLS"])
    os.environ["APT_WORKS_AT"] = "1000"
    try:
        debian._run(["apt-get", "update"], "cannot fetch")
        sys.exit("an apt that always fails passes")
    except RuntimeError as why:
        assert "no such host" in str(why)
    assert calls() == 1 + len(debian.PAUSES)


def main():
    with tempfile.TemporaryDirectory() as cache:
        programs = os.path.join(cache, "programs")
        os.mkdir(programs)
        for name in ("apt-get", "apt-cache"):
            with open(os.path.join(programs, name), "w") as f:
                f.write(APT)
            os.chmod(os.path.join(programs, name), 0o755)
        os.environ.pop("GVM_PREPARED", None)
        os.environ.update(GVM_CACHE=cache, APT_CALLS=os.path.join(cache, "calls"),
                          PATH=programs + ":" + os.environ["PATH"], GVM_GUEST_KERNEL="cloud")
        inside_a_test(cache)
        before_tests(cache)


main()
