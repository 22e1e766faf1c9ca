# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests' kernel. GVM_GUEST_KERNEL says which:

    cloud      the one that linux-image-cloud-amd64 depends on today; also if nothing is said
    backports  the same of the suite backports: the newest that Debian builds for this release
    newest     the newest that Debian has for any release (newest.py)
    debug      one that watches itself, which debug_kernel.py has to have built

Debian's bzImage is turned into the ELF vmlinux that it carries compressed: QEMU boots that directly
(PVH), and an emulated CPU need not spend seconds on decompression.
"""

import contextlib
import glob
import os
import re
import struct
import subprocess

import debian
import debug_kernel
import headers
import newest
import packaging

VARIABLE = "GVM_GUEST_KERNEL"
SUITES = {"cloud": None, "backports": "backports", "newest": newest.SUITE}
KINDS = (*SUITES, "debug")
BZIMAGES = ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz")

# what the payload begins with -> how to decompress it
PAYLOADS = (
    (b"\x02\x21\x4c\x18", ["lz4", "-dc"]),
    (b"\xfd7zXZ\x00", ["xz", "-dc"]),
    (b"\x28\xb5\x2f\xfd", ["zstd", "-dc"]),
    (b"\x1f\x8b", ["gzip", "-dc"]),
    (b"BZh", ["bzip2", "-dc"]),
    (b"\x5d\x00\x00", ["xz", "--format=lzma", "-dc"]),
)


def payload(image):
    """The compressed kernel inside a bzImage, by the header that Linux documents for it."""
    if image[0x202:0x206] != b"HdrS":
        raise ValueError("not a bzImage")
    version, = struct.unpack_from("<H", image, 0x206)
    if version < 0x208:
        raise ValueError("boot protocol %#x is too old to name its payload" % version)
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    if start + length > len(image):
        raise ValueError("the payload lies outside the file")
    return image[start:start + length]


def extract(bzimage, vmlinux):
    with open(bzimage, "rb") as f:
        body = payload(f.read())
    for magic, command in PAYLOADS:
        if body.startswith(magic):
            break
    else:
        raise ValueError("%s: unknown compression %s" % (bzimage, body[:6].hex()))
    # The last four bytes are the uncompressed size; some compressors' own trailer is that field,
    # others stumble over it. So it is left out only where the program would complain.
    size, = struct.unpack("<I", body[-4:])
    if magic != b"\x1f\x8b":
        body = body[:-4]
    plain = subprocess.run(command, input=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if plain.stdout[:4] != b"\x7fELF" or len(plain.stdout) != size:
        raise ValueError("%s: %s gave no kernel" % (bzimage, command[0]))
    with open(vmlinux + ".new", "wb") as f:
        f.write(plain.stdout)
    os.rename(vmlinux + ".new", vmlinux)


def trees_of(suite):
    """The folders of the kernel that a suite's metapackage stands for."""
    if suite == newest.SUITE:
        return newest.image_trees()
    return debian.remembered("-".join(filter(None, (suite, "kernel"))),
                             lambda: debian.unpacked(packaging.image(suite), suite), suite)


def chosen():
    kind = os.environ.get(VARIABLE) or KINDS[0]
    if kind not in KINDS:
        raise LookupError("%s=%s is none of %s" % (VARIABLE, kind, ", ".join(KINDS)))
    return kind


@contextlib.contextmanager
def choose(kind):
    """Another one, for what is in the with statement."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = kind
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


class Kernel:
    """The chosen one. `tree` is its folder, whose name says all that makes it what it is."""

    def __init__(self):
        self.kind, self._modules = chosen(), {}
        if self.kind == "debug":
            self._debug()
        else:
            self._debian(SUITES[self.kind])

    def _debug(self):
        self.tree = debug_kernel.find()
        self.vmlinux = os.path.join(self.tree, "vmlinux")
        with open(os.path.join(self.tree, "release")) as f:
            self.release = f.read().strip()
        self._modules_in(os.path.join(self.tree, "modules"))

    def _debian(self, suite):
        trees = trees_of(suite)
        (self.tree, image), = [(tree, path) for tree in trees for place in BZIMAGES
                               for path in glob.glob(os.path.join(tree, place))]
        self.release = os.path.basename(trees[0])[len("linux-image-"):].partition("_")[0]
        self.vmlinux = os.path.join(self.tree, "vmlinux")
        if not os.path.exists(self.vmlinux):
            extract(image, self.vmlinux)
        for top in [os.path.join(tree, modules, self.release, "kernel")
                    for tree in trees for modules in ("lib/modules", "usr/lib/modules")]:
            self._modules_in(top)

    def _modules_in(self, top):
        for folder, _, names in os.walk(top):
            for name in names:
                stem = name.partition(".ko")[0].replace("-", "_")
                self._modules[stem] = os.path.join(folder, name)

    def headers(self):
        """A folder to build modules for it in: make -C FOLDER M=..."""
        if self.kind == "debug":
            return os.path.join(self.tree, "headers")
        if self.kind == "newest":
            return headers.of_meta(packaging.HEADERS + "cloud-amd64", newest.SUITE)
        return headers.of(self.release, SUITES[self.kind])

    def modules(self, names):
        """The modules' files, each after those that it needs; built-in ones are left out."""
        order, seen = [], set()

        def add(name):
            name = name.replace("-", "_")
            path = self._modules.get(name)
            if name in seen or not path:
                return
            seen.add(name)
            data = module_bytes(path)
            needs = re.search(rb"\0depends=([^\0]*)\0", data)
            for other in (needs.group(1).decode().split(",") if needs else []):
                if other:
                    add(other)
            order.append((name, data))

        for name in names:
            add(name)
        return order


def module_bytes(path):
    if path.endswith(".xz"):
        return subprocess.run(["xz", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
    with open(path, "rb") as f:
        return f.read()
