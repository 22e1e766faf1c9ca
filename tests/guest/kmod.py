#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of the kernel mode: giantvm_kvm.ko, built for their kernel out of Debian's header
packages (unpacked into the cache, never installed), and an image that has it.

    tests/guest/kmod.py [--build DIR]

prints the paths of the module, of the kernel and of the initramfs, building what the cache lacks. The
cache keys the module by the headers and by every file of kmod/.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import debian  # noqa: E402
import elf  # noqa: E402
import image as images  # noqa: E402
import kernel  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.normpath(os.path.join(HERE, "../../kmod"))
MODULE = "giantvm_kvm.ko"
KEPT_MODULES = 6


def headers(release):
    """A folder to build modules in for this kernel: make -C FOLDER M=..."""
    def resolve():
        own = "linux-headers-" + release
        below = [name for name in debian.depends([own])
                 if name.startswith(("linux-headers-", "linux-kbuild-"))]
        return debian.unpacked([own, *below])
    return relocated(release, debian.remembered("headers", resolve))


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


def sources():
    """Every file of kmod/, as paths below it."""
    found = []
    for folder, _, names in os.walk(SOURCE):
        found += [os.path.relpath(os.path.join(folder, name), SOURCE) for name in names
                  if name in ("Kbuild", "Makefile") or name.endswith((".c", ".h"))]
    return sorted(found)


def make(tree, work, *arguments):
    """Builds a copy of kmod/ in the folder `work`; gives what make says."""
    for name in sources():
        os.makedirs(os.path.dirname(os.path.join(work, name)), exist_ok=True)
        shutil.copyfile(os.path.join(SOURCE, name), os.path.join(work, name))
    done = subprocess.run(["make", "-C", tree, "M=" + work, "W=1", "KCFLAGS=-Werror", *arguments,
                           "modules"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.replace(work, "kmod")
    if done.returncode:
        raise RuntimeError("the module does not build:\n" + said)
    return said


def build_log(tree, *arguments):
    """What make says with these arguments, of a module that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="gvm-module-") as work:
        return make(tree, work, *arguments)


def build(tree):
    """The module, built in a folder of the cache against the headers in `tree`. Needs no lock: a
    folder of its own, then a rename."""
    digest = hashlib.sha256(tree.encode())
    for name in sources():
        with open(os.path.join(SOURCE, name), "rb") as f:
            digest.update(name.encode() + b"\0" + hashlib.sha256(f.read()).digest())
    folder = os.path.join(debian.cache_root(), "modules")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "%s-%s" % (digest.hexdigest()[:16], MODULE))
    if os.path.exists(path):
        os.utime(path)
        return path
    with tempfile.TemporaryDirectory(prefix=".module-", dir=folder) as work:
        make(tree, work)
        subprocess.run(["objcopy", "--strip-debug", os.path.join(work, MODULE)], check=True)
        os.rename(os.path.join(work, MODULE), path)
    drop_old(folder)
    return path


def drop_old(folder):
    built = sorted((os.path.join(folder, name) for name in os.listdir(folder)
                    if not name.startswith(".")), key=os.path.getmtime, reverse=True)
    for path in built[KEPT_MODULES:]:
        os.unlink(path)


def module():
    """giantvm_kvm.ko for the kernel that the guests boot."""
    with debian.CacheLock():
        tree = headers(kernel.Kernel().release)
    return build(tree)


# Where the programs are in meson's build folder.
PROGRAMS = {"gvm": "tools/gvm", "share": "tests/kernel/share",
            "exchange": "tests/kernel/exchange"}
images.FLAVOURS["kmod"] = (["virtio_net", "virtio_blk", "kvm_amd"], [],
                           [(name, path) for name, path in PROGRAMS.items()])


def image(build_folder, ko=None, inner=False):
    """(vmlinux, initramfs) of a host of the cluster: the module (loaded by the tests, not by init) and
    the programs that the tests of kmod/ run; with `inner` also QEMU, and what the flavour fill boots."""
    ko = ko or module()
    inside = images.image("fill", build_folder) if inner else ()
    with debian.CacheLock():
        recipe = images.Recipe("kmod", build_folder)
        recipe.files["/lib/" + MODULE] = ko
        if inner:
            qemu = "/usr/bin/qemu-system-x86_64"
            recipe.files[qemu] = qemu
            recipe.files.update(elf.closure(qemu))
            for path in images.FIRMWARE:
                name = "/usr/share/qemu/" + os.path.basename(path)
                recipe.files[name] = os.path.realpath(path)
            recipe.files["/lib/libgvm-preload.so"] = os.path.join(build_folder,
                                                                  "qemu/libgvm-preload.so")
            recipe.files["/inner/vmlinux"], recipe.files["/inner/initramfs"] = inside
        folder = os.path.join(debian.cache_root(), "images")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "kmod-%s.cpio" % recipe.key())
        if os.path.exists(path):
            os.utime(path)
        else:
            recipe.write(path)
            images.drop_old(folder)
        return recipe.kernel.vmlinux, path


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"),
                        help="meson's build folder (default: build)")
    options = parser.parse_args()
    try:
        ko = module()
        print(ko, *image(options.build, ko), sep="\n")
    except (LookupError, RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as why:
        sys.exit("kmod.py: %s" % why)


if __name__ == "__main__":
    main()
