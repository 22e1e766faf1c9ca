# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages as files: named by apt, downloaded, unpacked, never installed.

A guest image takes the kernel, Redis and their libraries from here, so that building one changes
nothing on the host but the cache.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time


def cache_root():
    if os.environ.get("GVM_CACHE"):
        return os.environ["GVM_CACHE"]
    if os.geteuid() == 0:
        return "/var/cache/gvm"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "gvm")


class CacheLock:
    """Two builders at once wait for each other rather than fetch everything twice."""

    def __enter__(self):
        os.makedirs(cache_root(), exist_ok=True)
        self.file = open(os.path.join(cache_root(), "lock"), "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


def _apt(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def depends(packages):
    """What apt would install for them directly: the first of each list of alternatives."""
    names, skipping = [], False
    for line in _apt("apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts",
                     "--no-breaks", "--no-replaces", "--no-enhances", *packages).splitlines():
        word, _, name = line.strip().partition(": ")
        if word.lstrip("|") not in ("Depends", "PreDepends"):
            continue
        if not skipping and not name.startswith("<"):
            names.append(name)
        skipping = word.startswith("|")
    return names


def libraries(packages):
    """The packages given and every library package below them."""
    found, level = [], list(packages)
    while level:
        found += level
        level = sorted({name for name in depends(level)
                        if name.startswith("lib") and name not in found})
    return found


def candidates(packages):
    """apt's choice of versions, as the names of the folders that the cache unpacks them to."""
    names, package = {}, None
    for line in _apt("apt-cache", "policy", *packages).splitlines():
        if not line.startswith(" "):
            package = line.rstrip(":")
        word, _, version = line.strip().partition(": ")
        if word == "Candidate" and version != "(none)":
            names[package] = "%s_%s" % (package, version.replace(":", "%3a"))
    for package in packages:
        if package not in names:
            raise LookupError("apt knows no package %s: is the list of packages there "
                              "(apt-get update)?" % package)
    return names


def unpacked(packages):
    """The folders that hold what is in the packages' current versions."""
    root = os.path.join(cache_root(), "packages")
    os.makedirs(root, exist_ok=True)
    names = candidates(packages)
    lacking = [p for p in packages if not os.path.isdir(os.path.join(root, names[p]))]
    with tempfile.TemporaryDirectory(prefix=".new-", dir=root) as work:
        if lacking:
            done = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
                                   *lacking], cwd=work, text=True, capture_output=True)
            if done.returncode:
                raise RuntimeError("cannot download %s: %s" % (" ".join(lacking),
                                                               done.stderr.strip()))
        for package in lacking:
            deb, = [name for name in os.listdir(work)
                    if name.startswith(package + "_") and name.endswith(".deb")]
            tree = os.path.join(work, package)
            subprocess.run(["dpkg-deb", "-x", os.path.join(work, deb), tree], check=True)
            os.rename(tree, os.path.join(root, names[package]))
    return [os.path.join(root, names[package]) for package in packages]


def remembered(key, resolve):
    """resolve()'s folders, asked of apt at most once a day (it takes seconds) while they exist."""
    path = os.path.join(cache_root(), "resolved-" + key)
    known = []
    if os.path.exists(path):
        with open(path) as f:
            known = f.read().split("\n")
        if not all(os.path.isdir(tree) for tree in known):
            known = []
        if known and abs(time.time() - os.path.getmtime(path)) < 86400:
            return known
    try:
        trees = _with_fresh_lists(resolve)
    except (LookupError, RuntimeError, subprocess.CalledProcessError) as why:
        if not known:
            raise
        print("%s; going on with %s" % (why, " ".join(map(os.path.basename, known))),
              file=sys.stderr)
        return known
    with open(path, "w") as f:
        f.write("\n".join(trees))
    return trees


def _with_fresh_lists(resolve):
    """What apt's lists do not know, or know in a version that is gone, is asked for again."""
    try:
        return resolve()
    except (LookupError, RuntimeError, subprocess.CalledProcessError):
        if os.geteuid() or subprocess.run(["apt-get", "-q", "update"], stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL).returncode:
            raise
        return resolve()


def find(trees, path):
    """A file of one of the trees; a link may lead into another package's."""
    for _ in range(8):
        for tree in trees:
            place = os.path.join(tree, path)
            if os.path.islink(place):
                path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(place)))
                break
            if os.path.exists(place):
                return place
        else:
            break
    raise LookupError("no package holds %s" % path)
