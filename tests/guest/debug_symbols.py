# SPDX-License-Identifier: GPL-2.0-or-later
"""The debug symbols of the guests' kernel, for debuggers: large (some 280 MB to fetch, 600 MB of vmlinux), so only what
tools/check --full runs needs them."""

import os
import shutil

import debian
import kernel

KEY = "kernel-debug-symbols"


def _trees(release):
    trees = debian.unpacked(["linux-image-%s-dbg" % release])
    for tree in trees:  # those of modules take twice as much again
        shutil.rmtree(os.path.join(tree, "usr/lib/debug/lib"), ignore_errors=True)
    return trees


def find():
    """(vmlinux with symbols, System.map) of the chosen kernel."""
    chosen = kernel.Kernel()
    trees = debian.remembered(KEY, lambda: _trees(chosen.release))
    version = os.path.basename(chosen.tree).partition("_")[2]
    if not trees[0].endswith("_" + version):
        raise LookupError("the debug symbols are of %s, the kernel is of %s" % (os.path.basename(trees[0]), version))
    boot = os.path.join(trees[0], "usr/lib/debug/boot")
    return [os.path.join(boot, "%s-%s" % (name, chosen.release)) for name in ("vmlinux", "System.map")]
