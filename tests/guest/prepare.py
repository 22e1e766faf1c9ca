#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetches and builds what tests need beside meson's build folder, before any of them runs.

    tests/guest/prepare.py --list SUITE...
    tests/guest/prepare.py [--build DIR] STEP

The first prints the steps for these suites in their order, the second does one. What a step finds in the
cache it only looks up. A test fetches nothing (debian.py), so whatever one begins to need gets its
step here.
"""

import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "tools/lib")]

import accel  # noqa: E402
import debian  # noqa: E402
import debug_symbols  # noqa: E402
import debs  # noqa: E402
import debug_kernel  # noqa: E402
import headers  # noqa: E402
import image  # noqa: E402
import kernel  # noqa: E402
import kmod  # noqa: E402
import linux_source  # noqa: E402
import newest  # noqa: E402
import release  # noqa: E402
import symbols  # noqa: E402

# Debian's metapackages of headers: stable's kernels, the newest that are built for it, and the newest at all. The
# module is built for those of guests with all warnings, and by DKMS for the others.
HEADERS = [("linux-headers" + flavour, suite, build) for suite in (None, "backports", newest.SUITE)
           for flavour, build in (("-cloud-amd64", kmod.build), ("-amd64", kmod.dkms))]


def guest_kernel(kind):
    with debian.CacheLock(), kernel.choose(kind):
        return kernel.Kernel().vmlinux


def guest_headers(kind):
    with debian.CacheLock(), kernel.choose(kind):
        return kernel.Kernel().headers()


def newest_headers(meta, suite):
    with debian.CacheLock():
        return headers.of_meta(meta, suite)


def symbols_for_debuggers():
    with debian.CacheLock():
        return debug_symbols.find()


def programs_of_images():
    with debian.CacheLock():
        image.busybox()
        image.redis()


def checkpatch():
    with debian.CacheLock():
        return linux_source.checkpatch()


def qemu(*options):
    subprocess.run(["nice", sys.executable, os.path.join(TOP, "qemu/build"), *options], check=True)


def hosts(kind, build, inner=False, arguments=()):
    with kernel.choose(kind):
        return kmod.image(build, kmod.module(*arguments), inner)


def accelerator(kind, build):
    """What runs guests of this kernel takes a boot to find out."""
    with kernel.choose(kind):
        print("%s %s" % accel.choose(*image.image("fill", build)))


def module(meta, suite, build):
    build(newest_headers(meta, suite))


def packages(build):
    debs.build(os.path.join(os.path.dirname(os.path.abspath(build)), "build-debian"))


def kinds():
    """The kernels of the hosts of suite kernel."""
    return sorted({*kernel.SUITES, kernel.chosen()} - {"debug"})


def with_kernels(suites):
    """The debug suite has all that the kernel suite has, and more; so has the full suite of the system and kernel suites."""
    return {*suites, *(["kernel"] if "debug" in suites else []), *(["system", "kernel"] if "full" in suites else [])}


def fetched(suites):
    """(name, what it does with the build folder) of all that is fetched."""
    suites = with_kernels(suites)
    if "system" in suites or "kernel" in suites:
        yield "kernel-cloud", lambda build: guest_kernel("cloud")
        yield "programs-of-images", lambda build: programs_of_images()
    if "full" in suites:
        yield "symbols-for-debuggers", lambda build: symbols_for_debuggers()
        for name in release.RELEASES:
            yield "release-" + name, lambda build, name=name: release.fetched(name)
    if "system" in suites:
        yield "source-of-qemu", lambda build: qemu("--fetch")
    if "kernel" in suites:
        yield "source-of-linux", lambda build: checkpatch()
        for kind in kinds():
            if kind != "cloud":
                yield "kernel-" + kind, lambda build, kind=kind: guest_kernel(kind)
            yield "headers-" + kind, lambda build, kind=kind: guest_headers(kind)
        for meta, suite, _ in HEADERS:
            yield ("-".join(filter(None, ("headers", suite, meta))),
                   lambda build, which=(meta, suite): newest_headers(*which))


def built(suites):
    suites = with_kernels(suites)
    if "system" in suites:
        for flavour in sorted(set(image.FLAVOURS) - {"kmod", "vcpus"}):
            yield "image-" + flavour, lambda build, name=flavour: image.image(name, build)
    if "system" in suites or "kernel" in suites:
        yield "accelerator-cloud", lambda build: accelerator("cloud", build)
    if "kernel" in suites:
        for kind in kinds():
            yield "hosts-" + kind, lambda build, kind=kind: hosts(kind, build)
            if kind != "cloud":
                yield "accelerator-" + kind, lambda build, kind=kind: accelerator(kind, build)
        yield "hosts-with-qemu", lambda build: hosts(kernel.chosen(), build, True)
        yield "hosts-slots-apart", lambda build: hosts("cloud", build, arguments=[kmod.SLOTS_APART])
        for headers_of in HEADERS:
            yield ("-".join(filter(None, ("module", *headers_of[1::-1]))),
                   lambda build, which=headers_of: module(*which))
    if "system" in suites:
        yield "symbols-cloud", symbols.path
        yield "packages", packages
        yield "patched-qemu", lambda build: qemu()
    if "full" in suites:
        yield "image-vcpus", lambda build: image.image("vcpus", build)
        for name in release.RELEASES:
            yield "packages-" + name, lambda build, name=name: release.packages(name)
    if "debug" in suites:
        yield "debug-kernel", lambda build: debug_kernel.built()
        for inner in (False, True):
            yield ("hosts-debug" + "-with-qemu" * inner,
                   lambda build, inner=inner: hosts("debug", build, inner))


def steps(suites):
    """[(name, what it does)]: all that is fetched first."""
    return ([("fetch-" + name, what) for name, what in fetched(suites)]
            + [("build-" + name, what) for name, what in built(suites)])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", default=os.path.join(TOP, "build"),
                        help="meson's build folder (default: build)")
    parser.add_argument("what", nargs="+", metavar="SUITE|STEP")
    options = parser.parse_args()
    if options.list:
        print(*(name for name, _ in steps(options.what)), sep="\n")
        return
    known = dict(steps(("system", "kernel", "debug", "full")))
    for step in options.what:
        if step not in known:
            parser.error("no step %s" % step)
        try:
            known[step](options.build)
        except (LookupError, RuntimeError, ValueError, OSError, subprocess.SubprocessError) as why:
            sys.exit("%s: %s" % (step, why))


if __name__ == "__main__":
    main()
