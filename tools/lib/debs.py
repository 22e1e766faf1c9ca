# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the Debian packages of what the checkout has, and has lintian judge them.

    tools/lib/debs.py FOLDER

FOLDER (the checkout's build-debian) keeps a copy of the sources, their objects for the next time, and the packages.
It is Debian's way to compile, and a warning is an error in it. What is as it was is not built again.
"""

import fcntl
import filecmp
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LEFT_OUT = (".git", "__pycache__")
OBJECTS = "obj-x86_64-linux-gnu"  # debhelper's folder
NOT_PACKAGED = r"build(-.*)?|tests|" + OBJECTS  # folders at the top
# What dpkg-buildpackage leaves in debian/, by which debhelper would take the copy for built.
BUILT = r"debian/(files|debhelper-build-stamp|.*\.(log|substvars|debhelper))"
SOURCE_FOLDERS = ("source",)  # in debian/; others are built
LINTIAN = ["lintian", "--allow-root", "--profile", "debian", "--fail-on", "error,warning", "--tag-display-limit", "0"]


def sources():
    """Every file of the checkout that is neither built nor a test, by its path below it."""
    for place, folders, names in os.walk(TOP):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not (
            place == TOP and re.fullmatch(NOT_PACKAGED, name)) and (
                place != os.path.join(TOP, "debian") or name in SOURCE_FOLDERS))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(place, name), TOP)
            if name not in LEFT_OUT and not re.fullmatch(BUILT, path):  # in a worktree .git is a file
                yield path


def digest():
    found = hashlib.sha256()
    for path in sources():
        with open(os.path.join(TOP, path), "rb") as f:
            found.update(path.encode() + b"\0" + hashlib.sha256(f.read()).digest())
    return found.hexdigest()


def copied(tree):
    """The sources as they are now. Only what has changed is compiled: what has not keeps its time, and what has is as new as its
    copy, since it may have changed while an object of what it was before was made. debian/ begins anew: debhelper keeps there
    what it has done."""
    shutil.rmtree(os.path.join(tree, "debian"), ignore_errors=True)
    wanted = set(sources())
    for place, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name != OBJECTS]
        for name in names:
            path = os.path.join(place, name)
            if os.path.relpath(path, tree) not in wanted:
                os.unlink(path)
    for path in wanted:
        source, target = os.path.join(TOP, path), os.path.join(tree, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
            shutil.copy(source, target)


def run(log, *command, cwd):
    """What it says goes to a file, and to standard output where it fails."""
    with open(log, "w+") as f:
        status = subprocess.run(["nice", *command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT,
                                env={**os.environ, "LC_ALL": "C.UTF-8"}).returncode
        f.seek(0)
        said = f.read()
    if status:
        raise RuntimeError("%s ended with status %d:\n%s" % (command[0], status, said))
    return said


def build(folder):
    """The packages' paths."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now, done, tree = digest(), os.path.join(folder, "done"), os.path.join(folder, "gvm")
        try:
            with open(done) as f:
                if f.read() == now:
                    return packages(folder)
        except FileNotFoundError:
            pass
        for old in glob.glob(os.path.join(folder, "*.deb")) + glob.glob(done):
            os.unlink(old)
        copied(tree)
        said = run(os.path.join(folder, "build.log"), "dpkg-buildpackage", "--no-sign", "--build=binary", "--no-pre-clean",
                   "--jobs=%d" % (os.cpu_count() or 1), cwd=tree)
        warnings = re.findall(r"^.*\bwarning: .*$", said, re.M)
        if warnings:
            raise RuntimeError("the packages are built with warnings:\n" + "\n".join(warnings))
        changes, = glob.glob(os.path.join(folder, "*.changes"))
        judged = run(os.path.join(folder, "lintian.log"), *LINTIAN, changes, cwd=folder)
        if re.search(r"^[EW]: ", judged, re.M):
            raise RuntimeError(judged)
        with open(done, "w") as f:
            f.write(now)
        return packages(folder)


def packages(folder):
    return sorted(path for path in glob.glob(os.path.join(folder, "*.deb")) if "-dbgsym_" not in path)


if __name__ == "__main__":
    try:
        print("\n".join(build(os.path.abspath(sys.argv[1]))))
    except RuntimeError as why:
        sys.exit(str(why))
