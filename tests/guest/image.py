#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes what a test guest boots: Debian's cloud kernel and an initramfs.

    tests/guest/image.py FLAVOUR [--build DIR]

prints the paths of both, building what the cache lacks. Flavours:

    fill      busybox and gvm-fill
    workload  the same and Redis with its benchmark
    gvmfs     the same as fill, and gvm, gvmfs, gvm-memnode and the torture out of --build
    nested    gvm, gvmfs, gvm-memnode, KVM, and this host's QEMU with what the flavour fill boots
    vcpus     KVM, and the patched QEMU with what the flavour fill boots

The cache (GVM_CACHE; else /var/cache/gvm for root, ~/.cache/gvm) keys each image by everything that
goes into it, so a change of any of it makes a new one.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cpio  # noqa: E402
import debian  # noqa: E402
import elf  # noqa: E402
import kernel  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ["virtio_pci", "virtio_balloon"]
REDIS = ["redis-server", "redis-tools"]
KEPT_IMAGES = 30
CFLAGS = ["-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread"]

# flavour -> (modules, static programs from source, programs out of the build)
FLAVOURS = {
    "fill": ([], [("gvm-fill", "fill.c")], []),
    "workload": (["virtio_blk"], [("gvm-fill", "fill.c")], []),
    "gvmfs": (["fuse", "virtio_blk", "loop"],
              [("gvm-fill", "fill.c"), ("torture", "../system/torture.c")],
              [("gvmfs", "gvmfs/gvmfs"), ("gvm-memnode", "memnode/daemon/gvm-memnode"),
               ("gvm", "tools/gvm"), ("torture-fast", "tests/system/torture-fast"),
               ("sweep", "tests/system/sweep")]),
    "nested": (["fuse", "kvm_amd"], [],
               [("gvmfs", "gvmfs/gvmfs"), ("gvm-memnode", "memnode/daemon/gvm-memnode"),
                ("gvm", "tools/gvm"), ("libgvm-preload.so", "qemu/libgvm-preload.so")]),
    "vcpus": (["kvm_amd"], [], []),
}
NESTING = ["nested", "vcpus"]
FIRMWARE = ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/pvh.bin",
            "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/kvmvapic.bin"]


class Recipe:
    """What goes into an image, gathered before anything is built, so that it can be hashed."""

    def __init__(self, flavour, build, inner=None, qemu=None):
        modules, sources, built = FLAVOURS[flavour]
        self.flavour = flavour
        self.kernel = kernel.Kernel()
        self.modules = MODULES + modules
        self.sources = [(name, os.path.join(HERE, path)) for name, path in sources]
        self.jobs = sorted(os.listdir(os.path.join(HERE, "jobs")))
        self.files = {"/bin/busybox": busybox()}
        for name, path in built:
            path = os.path.join(build, path)
            self.files["/bin/" + name] = path
            self.files.update(elf.closure(path))
        if flavour in NESTING:
            self.files["/usr/bin/qemu-system-x86_64"] = qemu
            self.files.update(elf.closure(qemu))
            for path in FIRMWARE:
                self.files["/usr/share/qemu/" + os.path.basename(path)] = os.path.realpath(path)
            vmlinux, initramfs = inner
            self.files["/inner/vmlinux"], self.files["/inner/initramfs"] = vmlinux, initramfs
        if flavour == "workload":
            trees = redis()
            for name in ("redis-server", "redis-cli", "redis-benchmark"):
                path = debian.find(trees, "usr/bin/" + name)
                self.files["/bin/" + name] = path
                self.files.update(elf.closure(path, trees))

    def key(self):
        digest = hashlib.sha256()
        digest.update(repr((self.kernel.tree, self.modules, self.jobs, CFLAGS)).encode())
        own = [os.path.join(HERE, name) for name in ("image.py", "cpio.py", "init")]
        own += [os.path.join(HERE, "jobs", job) for job in self.jobs]
        own += [path for _, path in self.sources]
        for name, path in sorted(self.files.items()) + [("", path) for path in own]:
            with open(path, "rb") as f:
                digest.update(name.encode() + b"\0" + hashlib.sha256(f.read()).digest())
        return digest.hexdigest()[:16]

    def write(self, path):
        archive = cpio.Archive()
        for folder in ("proc", "sys", "dev", "tmp", "mnt", "run", "etc", "root"):
            archive.folder(folder)
        archive.device("/dev/console", 5, 1)
        archive.device("/dev/null", 1, 3, 0o666)
        archive.text("/etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        archive.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
        archive.file("/init", os.path.join(HERE, "init"), 0o755)
        for job in self.jobs:
            archive.file("/jobs/" + job, os.path.join(HERE, "jobs", job), 0o755)
        for name, source in self.files.items():
            archive.file(name, source, 0o755)
        for applet in subprocess.run([self.files["/bin/busybox"], "--list"], check=True, text=True,
                                     capture_output=True).stdout.split():
            if "/bin/" + applet not in archive.entries and applet != "busybox":
                archive.link("/bin/" + applet, "busybox")
        order = self.kernel.modules(self.modules)
        for name, data in order:
            archive.data("/modules/" + name, data)
        archive.text("/modules/order", "".join(name + "\n" for name, _ in order))
        with tempfile.TemporaryDirectory() as work:
            for name, source in self.sources:
                program = os.path.join(work, name)
                subprocess.run([os.environ.get("CC", "cc"), *CFLAGS, "-o", program, source],
                               check=True)
                subprocess.run(["strip", program], check=True)
                archive.file("/bin/" + name, program, 0o755)
            archive.write(path + ".new")
        os.rename(path + ".new", path)


def busybox():
    """The static one: from the host where it is installed, else out of its package."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path) and elf.needed(path) == (None, []):
            return os.path.realpath(path)
    trees = debian.remembered("busybox", lambda: debian.unpacked(["busybox-static"]))
    return debian.find(trees, "bin/busybox")


def patched():
    """The QEMU with GVM built in, out of the cache."""
    done = subprocess.run([os.path.join(HERE, "../../qemu/build")], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.split()[-1]


def redis():
    return debian.remembered("redis", lambda: debian.unpacked(debian.libraries(REDIS)))


def drop_old(folder):
    images = sorted((os.path.join(folder, name) for name in os.listdir(folder)),
                    key=os.path.getmtime, reverse=True)
    for path in images[KEPT_IMAGES:]:
        os.unlink(path)


def image(flavour, build=None):
    """(vmlinux, initramfs): the files to boot; builds them where the cache has none."""
    inner = image("fill", build) if flavour in NESTING else None
    qemu = patched() if flavour == "vcpus" else "/usr/bin/qemu-system-x86_64"
    with debian.CacheLock():
        recipe = Recipe(flavour, build, inner, qemu)
        folder = os.path.join(debian.cache_root(), "images")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "%s-%s.cpio" % (flavour, recipe.key()))
        if os.path.exists(path):
            os.utime(path)
        else:
            recipe.write(path)
            drop_old(folder)
        return recipe.kernel.vmlinux, path


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flavour", choices=sorted(FLAVOURS))
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"),
                        help="meson's build folder (default: build)")
    options = parser.parse_args()
    try:
        for path in image(options.flavour, options.build):
            print(path)
    except (LookupError, RuntimeError, ValueError, OSError) as why:
        sys.exit("image.py: %s" % why)


if __name__ == "__main__":
    main()
