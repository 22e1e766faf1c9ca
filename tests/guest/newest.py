# SPDX-License-Identifier: GPL-2.0-or-later
"""The newest kernel that Debian has released in any suite, and what builds modules for it.

Its headers come with programs that need that suite's libraries, and with settings that need its
compiler. So they are unpacked, with these, to a root folder of their own in the cache; headers.run()
has commands run in it. None of it is installed, and no maintainer's script runs.

Release candidates, as experimental has them at times, are none: what they change is not settled. Where
the newest cannot be had as a whole (unstable's kernel waits for its signature, or no compiler for it can
be installed), the next one is taken.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import debian
import packaging

SUITE = "newest"  # what all this stands for where others name a suite
HEADERS = ("linux-headers-cloud-amd64", "linux-headers-amd64")
TOOLS = ["base-files", "bash", "coreutils", "dash", "diffutils", "dkms", "findutils", "gcc", "grep",
         "make", "mawk", "sed"]
LINKS = {"usr/bin/awk": "mawk"}  # what a maintainer's script would make
FOLDERS = ["mnt/kmod", "tmp", "dev", "proc"]
KEPT = 2
FAILURES = (LookupError, RuntimeError, subprocess.CalledProcessError)


def offered():
    """[(version, suite)], the newest first; of the same version, that of the more stable suite."""
    found = []
    for suite in debian.BESIDE:
        def candidate(suite=suite):
            return debian.candidates([packaging.IMAGE], suite)[packaging.IMAGE]
        try:
            name = debian.with_fresh_lists(candidate, suite)
        except FAILURES as why:
            print("%s; going on without %s" % (why, suite), file=sys.stderr)
            continue
        version = re.match(r"(\d+(?:\.\d+)*)-", name.partition("_")[2])
        if version:
            found.append((tuple(map(int, version.group(1).split("."))), suite))
    return sorted(found, key=lambda one: one[0], reverse=True)


def packages(suite):
    image = packaging.image(suite)
    rest = debian.closure([*HEADERS, *TOOLS], suite)
    release = image[0][len("linux-image-"):]
    if packaging.HEADERS + release not in rest:
        raise LookupError("%s has no headers for %s" % (suite, release))
    return [*image, *(name for name in rest if name not in image)]


def resolve():
    for version, suite in offered():
        try:
            return debian.with_fresh_lists(
                lambda suite=suite: debian.unpacked(packages(suite), suite), suite)
        except FAILURES as why:
            print("%s; there is no Linux %s of %s to be had" % (
                why, ".".join(map(str, version)), suite), file=sys.stderr)
    raise LookupError("no suite has a kernel")


def trees():
    """All of it: first the kernel, then the rest."""
    return debian.remembered(SUITE, resolve)


def image_trees():
    return [tree for tree in trees()
            if os.path.basename(tree).startswith(("linux-image-", *packaging.IMAGE_PARTS))]


def headers(meta):
    """The folder for the flavour that a metapackage stands for."""
    flavour = meta[len(packaging.HEADERS):]
    place = root()
    for tree in trees():
        package = os.path.basename(tree).partition("_")[0]
        # amd64 is not cloud-amd64: what is before the flavour is the version
        if re.fullmatch(r"linux-headers-[^-]*-%s" % re.escape(flavour), package):
            return os.path.join(place, "usr/src", package)
    raise LookupError("there is no %s" % meta)


def root():
    """The root folder, of hard links to what is unpacked."""
    names = [os.path.basename(tree) for tree in trees()]
    digest = hashlib.sha256(repr((names, LINKS, FOLDERS)).encode()).hexdigest()[:16]
    place = os.path.join(debian.cache_root(), "root-" + digest)
    if os.path.isdir(place):
        os.utime(place)
        return place
    # base-files first: in others' way to usr/ are its links
    parts = sorted(trees(), key=lambda tree: not os.path.basename(tree).startswith("base-files_"))
    with tempfile.TemporaryDirectory(prefix=".root-", dir=debian.cache_root()) as work:
        new = os.path.join(work, "new")
        for tree in parts:
            shutil.copytree(tree, new, symlinks=True, copy_function=link, dirs_exist_ok=True)
        for name in FOLDERS:
            os.makedirs(os.path.join(new, name), exist_ok=True)
        for name, target in LINKS.items():
            os.symlink(target, os.path.join(new, name))
        os.rename(new, place)
    drop_old()
    return place


def link(source, target):
    """(Of a file that two packages have, the later one's counts: dpkg would ask for a diversion.)"""
    if os.path.lexists(target):
        os.unlink(target)
    os.link(source, target, follow_symlinks=False)


def drop_old():
    cache = debian.cache_root()
    roots = sorted((os.path.join(cache, name) for name in os.listdir(cache) if name.startswith("root-")),
                   key=os.path.getmtime, reverse=True)
    for path in roots[KEPT:]:
        shutil.rmtree(path)
