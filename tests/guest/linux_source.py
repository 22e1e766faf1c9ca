# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux's source as Debian packages it for the kernel that it ships: what linux-source depends on."""

import os
import subprocess
import tempfile

import debian

META = "linux-source"


def tarball():
    """Where it is in the cache. The folder above is named after the package and its version."""
    def resolve():
        packages = [name for name in debian.depends([META]) if name.startswith("linux-source-")]
        if len(packages) != 1:
            raise LookupError("%s names no source" % META)
        return debian.unpacked(packages)
    tree, = debian.remembered("source", resolve)
    folder = os.path.join(tree, "usr/src")
    name, = [name for name in os.listdir(folder) if name.startswith("linux-source-")]
    return os.path.join(folder, name)


def version():
    """PACKAGE_VERSION, to be part of a key."""
    return os.path.basename(os.path.normpath(os.path.join(tarball(), "../../..")))


def unpack(folder, *members):
    """The whole tree into a folder, or only some files of it."""
    subprocess.run(["tar", "-C", folder, "--strip-components=1", "--no-same-owner", "--wildcards",
                    "--no-wildcards-match-slash", "-xf", tarball(),
                    *["*/" + name for name in members]], check=True)


def checkpatch():
    """scripts/checkpatch.pl of that source, with the lists that it reads beside it."""
    folder = os.path.join(debian.cache_root(), "checkpatch-" + version())
    program = os.path.join(folder, "scripts/checkpatch.pl")
    if not os.path.exists(program):
        with tempfile.TemporaryDirectory(prefix=".checkpatch-", dir=debian.cache_root()) as work:
            new = os.path.join(work, "new")
            os.mkdir(new)
            unpack(new, "scripts/checkpatch.pl", "scripts/spelling.txt",
                   "scripts/const_structs.checkpatch")
            os.rename(new, folder)
    return program
