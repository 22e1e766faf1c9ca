#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that watches itself (KASAN, lockdep, sleeping in atomic context, kmemleak ...), for guests
that run with GVM_GUEST_KERNEL=debug: Debian's source, with debug_kernel.config.

    tests/guest/debug_kernel.py [--find]

prints its folder, building what the cache lacks, which takes ten CPU-minutes; --find only looks. In it
are the vmlinux, the file release, the folder modules (KVM's), and the folder headers to build others
in. The cache (GVM_CACHE; else /var/cache/gvm for root, ~/.cache/gvm) keys it by the source package's
version, the configuration, the compiler and how it is built. The packages that this takes are in
tools/lib/packages, with the word debug.
"""

import argparse
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import debian  # noqa: E402
import linux_source  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "debug_kernel.config")
KEPT = 2
LOG_TAIL = 30
PR_SET_PDEATHSIG = 1

# KASAN's shadow is not there yet while PVH prepares the boot: what runs then cannot be instrumented.
# Linux leaves out string.o by itself where it may be called that early, but does not count PVH.
MAKE = ["make", "KBUILD_BUILD_USER=gvm", "KBUILD_BUILD_HOST=gvm",
        "KASAN_SANITIZE_enlighten.o=n", "KASAN_SANITIZE_string.o=n"]
TARGETS = ["vmlinux", "modules"]
MODULES = "find . -name '*.ko' -exec cp -t \"$1\" {} +"

# What it takes to build modules: the list of Linux's own scripts/package/builddeb.
HEADERS = r"""
{
    find . arch/x86 -maxdepth 1 -name 'Makefile*'
    find include scripts -type f -o -type l
    find arch/x86 -name Kbuild.platforms -o -name Platform
    find $(find arch/x86 -name include -o -name scripts -type d) -type f
    find Module.symvers .config tools/objtool/objtool -type f
} | grep -vE '\.(o|cmd|a)$' | sort -u | tar -cf - -T - | tar -C "$1" -xf -
"""


def options():
    with open(CONFIG) as f:
        return [line.strip() for line in f if line.startswith("CONFIG_")]


def folder():
    """Where it is in the cache once it is built: named after what goes into it."""
    compiler = subprocess.run(["gcc", "-dumpfullversion"], check=True, text=True,
                              capture_output=True).stdout.strip()
    inputs = repr((options(), compiler, MAKE, TARGETS, MODULES, HEADERS))
    return os.path.join(debian.cache_root(), "debug-kernel", "%s-%s" % (
        linux_source.version(), hashlib.sha256(inputs.encode()).hexdigest()[:16]))


def find():
    """Its folder. Does not build it, which no test has time for."""
    place = folder()
    if not os.path.isdir(place):
        raise LookupError("the debug kernel is not built: run tests/guest/debug_kernel.py")
    os.utime(place)
    return place


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def run(log, source, *command):
    with open(log, "ab") as out:
        done = subprocess.run(command, cwd=source, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, preexec_fn=end_with_parent)
    if done.returncode:
        with open(log, errors="replace") as f:
            said = f.readlines()
        raise RuntimeError("%s fails; all it said is in %s:\n%s" % (
            " ".join(command), log, "".join(said[-LOG_TAIL:])))


def configure(log, source):
    run(log, source, *MAKE, "KCONFIG_ALLCONFIG=" + CONFIG, "allnoconfig")
    with open(os.path.join(source, ".config")) as f:
        given = set(f.read().splitlines())
    lacking = [option for option in options() if option not in given]
    if lacking:
        raise RuntimeError("this kernel cannot be had with %s" % ", ".join(lacking))


def build(place):
    """All in a folder beside it, then a rename."""
    root = os.path.dirname(place)
    log = os.path.join(root, "build.log")
    if os.path.exists(log):
        os.unlink(log)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=root) as work:
        source, new = os.path.join(work, "source"), os.path.join(work, "new")
        headers = os.path.join(new, "headers")
        modules = os.path.join(new, "modules")
        os.mkdir(source)
        os.makedirs(headers)
        os.makedirs(modules)
        linux_source.unpack(source)
        configure(log, source)
        run(log, source, *MAKE, "-j%d" % (os.cpu_count() or 1), *TARGETS)
        run(log, source, "strip", "-o", os.path.join(new, "vmlinux"), "vmlinux")
        run(log, source, "sh", "-c", MODULES, "sh", modules)
        run(log, source, "sh", "-c", HEADERS, "sh", headers)
        shutil.copyfile(os.path.join(source, "include/config/kernel.release"),
                        os.path.join(new, "release"))
        os.rename(new, place)


def drop_old(root):
    built = sorted((os.path.join(root, name) for name in os.listdir(root)
                    if not name.startswith(".") and os.path.isdir(os.path.join(root, name))),
                   key=os.path.getmtime, reverse=True)
    for path in built[KEPT:]:
        shutil.rmtree(path)


def built():
    """Its folder, built by whoever comes first: the others wait, with a lock of its own."""
    with debian.CacheLock():
        place = folder()
    root = os.path.dirname(place)
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(place):
            for name in os.listdir(root):
                if name.startswith(".build-"):  # of one that was killed
                    shutil.rmtree(os.path.join(root, name))
            build(place)
            drop_old(root)
    return place


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--find", action="store_true", help="fail where it is not built yet")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(find() if arguments.find else built())
    except (LookupError, RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as why:
        sys.exit("debug_kernel.py: %s" % why)


if __name__ == "__main__":
    main()
