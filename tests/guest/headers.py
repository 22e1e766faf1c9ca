# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's header packages: folders to build modules in, for make -C FOLDER M=..., unpacked into the
cache and never installed."""

import hashlib
import os
import shutil
import tempfile

import debian


def of(release, suite=None):
    """The folder for the kernel of this release."""
    def resolve():
        own = "linux-headers-" + release
        below = [name for name in debian.depends([own], suite)
                 if name.startswith(("linux-headers-", "linux-kbuild-"))]
        return debian.unpacked([own, *below], suite)
    return relocated(release, debian.remembered("headers-" + release, resolve, suite))


def newest(meta, suite=None):
    """The folder for the kernel that the metapackage stands for today."""
    def resolve():
        packages = [name for name in debian.depends([meta], suite)
                    if name.startswith("linux-headers-")]
        if len(packages) != 1:
            raise LookupError("%s names no headers" % meta)
        return debian.unpacked(packages, suite)
    tree, = debian.remembered("-".join(filter(None, (suite, meta))), resolve, suite)
    return of(os.path.basename(tree)[len("linux-headers-"):].partition("_")[0], suite)


def relocated(release, trees):
    """The packages refer to each other as if they were installed in /usr: put together in one
    folder, that is so again but for one line of one Makefile."""
    names = " ".join(os.path.basename(tree) for tree in trees)
    digest = hashlib.sha256((release + names).encode()).hexdigest()[:16]
    place = os.path.join(debian.cache_root(), "headers-" + digest)
    inside = os.path.join(place, "usr/src/linux-headers-" + release)
    if os.path.isdir(place):
        return inside
    with tempfile.TemporaryDirectory(prefix=".headers-", dir=debian.cache_root()) as work:
        new = os.path.join(work, "new")
        for tree in trees:
            shutil.copytree(tree, new, symlinks=True, dirs_exist_ok=True)
        makefile = os.path.join(new, "usr/src/linux-headers-" + release, "Makefile")
        with open(makefile) as f:
            text = f.read()
        with open(makefile, "w") as f:
            f.write(text.replace(" /usr/src/", " %s/usr/src/" % place))
        os.rename(new, place)
    return inside
