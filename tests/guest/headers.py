# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's header packages: folders to build modules in, for make -C FOLDER M=..., unpacked into the
cache and never installed. Commands run in them by run()."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import debian
import newest
import packaging

WORK = "/mnt/kmod"  # where a root folder has what is built
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def of(release, suite=None):
    """The folder for the kernel of this release."""
    def resolve():
        return debian.unpacked(packaging.headers(packaging.HEADERS + release, suite), suite)
    return relocated(release, debian.remembered("headers-" + release, resolve, suite))


def of_meta(meta, suite=None):
    """The folder for the kernel that the metapackage stands for today."""
    if suite == newest.SUITE:
        return newest.headers(meta)

    def resolve():
        return debian.unpacked([packaging.named(meta, packaging.HEADERS, suite)], suite)
    tree, = debian.remembered("-".join(filter(None, (suite, meta))), resolve, suite)
    return of(os.path.basename(tree)[len("linux-headers-"):].partition("_")[0], suite)


def relocated(release, trees):
    """The packages refer to each other as if they were installed in /usr: put together in one
    folder, that is so again but for one Makefile."""
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
            f.write(re.sub(r"(?<=[ =])/usr/src/", place + "/usr/src/", text))
        os.rename(new, place)
    return inside


def run(tree, work, command, over=None):
    """Runs a command for the headers `tree` and what is built with them in the folder `work`: {tree} and {work} in
    its words stand for these as it sees them. Headers with a compiler of their own are in that one's root
    folder; there it runs. `over`: {absolute path: folder below `work` that it sees in its place}."""
    root = tree.partition("/usr/src/")[0] if os.path.exists(tree.partition("/usr/src/")[0] + "/usr/bin/make") else ""
    mounts = [("--bind", os.path.join(work, folder), root + path) for path, folder in (over or {}).items()]
    if root:
        mounts += [("--rbind", path, root + path) for path in ("/dev", "/proc")]
        mounts += [("-t", "tmpfs", "tmpfs", root + "/tmp"), ("--bind", work, root + WORK)]
    seen = {"tree": tree[len(root):], "work": WORK if root else work}
    command = [word.format(**seen) for word in command]
    if root:
        command = ["chroot", root, "env", "-u", "TMPDIR", "PATH=" + PATH, *command]
    if mounts:
        script = "".join("mount %s && " % shlex.join(mount) for mount in mounts) + 'exec "$@"'
        command = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []),
                   "sh", "-c", script, "sh", *command]
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "LC_ALL": "C"})
