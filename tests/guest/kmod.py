#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of the kernel mode: giantvm_kvm.ko, built for the kernel that they boot (kernel.py says
which), and an image that has it.

    tests/guest/kmod.py [--build DIR]

prints the paths of the module, of the kernel and of the initramfs, building what the cache lacks. The
cache keys the module by the headers and by every file of kmod/.
"""

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import debian  # noqa: E402
import elf  # noqa: E402
import headers  # noqa: E402
import image as images  # noqa: E402
import kernel  # noqa: E402
import packaging  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.normpath(os.path.join(HERE, "../../kmod"))
MODULE = "giantvm_kvm.ko"
LOG = "log"  # of make, beside the module
WARNINGS = ["W=1", "KCFLAGS=-Werror"]
SPARSE = ["C=1", "CF=-D__CHECK_ENDIAN__"]
SLOTS_APART = "GVM_SLOTS_APART=1"
KEPT = 64  # modules, and what was said of them


def sources():
    """Every file of kmod/, as paths below it."""
    found = []
    for folder, _, names in os.walk(SOURCE):
        found += [os.path.relpath(os.path.join(folder, name), SOURCE) for name in names
                  if name in ("Kbuild", "Makefile") or name.endswith((".c", ".h"))]
    return sorted(found)


def copy(work, *others):
    """kmod/, as it is to be built, in the folder `work`."""
    for name in [*sources(), *others]:
        os.makedirs(os.path.dirname(os.path.join(work, name)), exist_ok=True)
        shutil.copyfile(os.path.join(SOURCE, name), os.path.join(work, name))


def make(tree, work, *arguments):
    """Builds a copy of kmod/ in the folder `work`; gives what make says. Without BTF, which takes
    pahole and nobody reads in a guest."""
    copy(work)
    done = headers.run(tree, work, ["make", "-C", "{tree}", "M={work}", "-j%d" % (os.cpu_count() or 1), *WARNINGS,
                                    *arguments, "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"])
    said = done.stdout.replace(work, "kmod").replace(headers.WORK, "kmod")
    if done.returncode:
        raise RuntimeError("the module does not build:\n" + said)
    return said


def cached(tree, name, inputs, produce, beside=None):
    """A file of the cache, made by produce(work) in that folder where it lacks, as is the one `beside` it. Its key
    are the headers, every file of kmod/ and the other inputs. Needs no lock: a folder of its own, then renames."""
    digest = hashlib.sha256(repr((tree, inputs)).encode())
    for source in sources():
        with open(os.path.join(SOURCE, source), "rb") as f:
            digest.update(source.encode() + b"\0" + hashlib.sha256(f.read()).digest())
    folder = os.path.join(debian.cache_root(), "modules")
    os.makedirs(folder, exist_ok=True)
    paths = {each: os.path.join(folder, "%s-%s" % (digest.hexdigest()[:16], each)) for each in (name, beside) if each}
    if all(map(os.path.exists, paths.values())):
        for path in paths.values():
            os.utime(path)
        return paths[name]
    with tempfile.TemporaryDirectory(prefix=".module-", dir=folder) as work:
        produce(work)
        for each, path in paths.items():
            os.rename(os.path.join(work, each), path)
    with debian.CacheLock():
        drop_old(folder)
    return paths[name]


def checker():
    """What make takes so that sparse, where it is installed, looks at what is built."""
    return SPARSE if shutil.which("sparse") else []


def made(tree, arguments, name, beside):
    def produce(work):
        with open(os.path.join(work, LOG), "w") as f:
            f.write(make(tree, work, *checker(), *arguments))
        subprocess.run(["objcopy", "--strip-debug", os.path.join(work, MODULE)], check=True)
    return cached(tree, name, (WARNINGS, checker(), arguments), produce, beside)


def build(tree, *arguments):
    """The module, built against the headers in `tree`."""
    return made(tree, arguments, MODULE, LOG)


def build_log(tree, *arguments):
    """What make said of it."""
    with open(made(tree, arguments, LOG, MODULE)) as f:
        return f.read()


def dkms(tree):
    """The module as DKMS builds it for users of these headers, the kernel's own way: what make() adds is not
    there, and warnings are looked for in its log. DKMS keeps its state and its keys where nothing else does."""
    release = os.path.basename(tree)[len(packaging.HEADERS):]
    with open(os.path.join(SOURCE, "dkms.conf")) as f:
        conf = f.read()
    name, version = re.findall(r'^PACKAGE_(?:NAME|VERSION)="(.*)"$', conf, re.M)

    def produce(work):
        os.makedirs(os.path.join(work, "state"))
        copy(os.path.join(work, "src/%s-%s" % (name, version)), "dkms.conf")
        done = headers.run(tree, work, ["dkms", "build", "--sourcetree", "{work}/src", "--kernelsourcedir", "{tree}",
                                        "-k", release, "-a", "x86_64", "%s/%s" % (name, version)],
                           over={"/var/lib/dkms": "state"})
        built, log = [glob.glob(os.path.join(work, "state", name, version, release, "x86_64", where)) for where in (
            "module/%s*" % MODULE, "log/make.log")]
        if done.returncode or not built or not log:
            for path in log or glob.glob(os.path.join(work, "state/**/make.log"), recursive=True):
                with open(path, errors="replace") as f:
                    done.stdout += f.read()
            raise RuntimeError("DKMS does not build the module:\n" + done.stdout)
        with open(log[0], errors="replace") as f:
            said = [line for line in f if "warning:" in line and "%s/" % name in line]
        if said:
            raise RuntimeError("DKMS builds the module with warnings:\n" + "".join(said))
        told = subprocess.run(["modinfo", "-F", "version", built[0]], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()
        if told != version:
            raise RuntimeError("dkms.conf says version %s, the module %s" % (version, told))
        os.rename(built[0], os.path.join(work, "dkms.ko"))
    return cached(tree, "dkms.ko", conf, produce)


def drop_old(folder):
    built = sorted((os.path.join(folder, name) for name in os.listdir(folder)
                    if not name.startswith(".")), key=os.path.getmtime, reverse=True)
    for path in built[KEPT:]:
        os.unlink(path)


def module(*arguments):
    """giantvm_kvm.ko for the kernel that the guests boot, built with these arguments of make."""
    with debian.CacheLock():
        tree = kernel.Kernel().headers()
    return build(tree, *arguments)


INSTALLED = "/usr/bin/qemu-system-x86_64"
# Where the programs are in meson's build folder.
PROGRAMS = {"gvm": "tools/gvm", "share": "tests/kernel/share",
            "exchange": "tests/kernel/exchange", "flood": "tests/kernel/flood",
            "onpath": "tests/kernel/onpath", "antenna": "tests/kernel/antenna"}
images.FLAVOURS["kmod"] = (["virtio_net", "virtio_blk", "kvm_amd", "libchacha20poly1305"], [],
                           [(name, path) for name, path in PROGRAMS.items()])


def image(build_folder, ko=None, inner=False, qemu=None):
    """(vmlinux, initramfs) of a host of the cluster: the module (loaded by the tests, not by init) and
    the programs that the tests of kmod/ run; with `inner` also QEMU, and what the flavour fill boots,
    always under Debian's kernel: nothing of ours is in that one. `qemu`: another than the installed one, and for
    it the firmware of tests/system/bare.c."""
    ko = ko or module()
    with kernel.choose("cloud"):
        inside = images.image("fill", build_folder) if inner else ()
    with debian.CacheLock():
        recipe = images.Recipe("kmod", build_folder)
        recipe.files["/lib/" + MODULE] = ko
        if inner:
            if qemu:
                recipe.files["/inner/bare.rom"] = os.path.join(build_folder, "tests/system/bare.rom")
            qemu = qemu or INSTALLED
            recipe.files[INSTALLED] = qemu
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
