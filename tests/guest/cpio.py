# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs: a cpio archive in the "newc" form that Linux unpacks at boot, uncompressed.

Written here rather than by cpio(1), so that device nodes and owners need no root and the same
inputs give the same bytes.
"""

import os
import stat


class Archive:
    def __init__(self):
        self.entries = {}  # path -> (mode, rdev, bytes)

    def folder(self, path, mode=0o755):
        path = path.strip("/")
        parent = os.path.dirname(path)
        if parent:
            self.folder(parent)
        if path:
            self.entries.setdefault(path, (stat.S_IFDIR | mode, (0, 0), b""))

    def _put(self, path, mode, rdev, data):
        self.folder(os.path.dirname(path.strip("/")))
        self.entries[path.strip("/")] = (mode, rdev, data)

    def data(self, path, data, mode=0o644):
        self._put(path, stat.S_IFREG | mode, (0, 0), data)

    def text(self, path, text, mode=0o644):
        self.data(path, text.encode(), mode)

    def file(self, path, source, mode=0o644):
        with open(source, "rb") as f:
            self.data(path, f.read(), mode)

    def link(self, path, target):
        self._put(path, stat.S_IFLNK | 0o777, (0, 0), target.encode())

    def device(self, path, major, minor, mode=0o600):
        self._put(path, stat.S_IFCHR | mode, (major, minor), b"")

    def write(self, path):
        with open(path, "wb") as out:
            # Parents sort before their children, as the kernel's unpacker needs.
            for number, name in enumerate(sorted(self.entries), 1):
                mode, rdev, data = self.entries[name]
                _member(out, number, name, mode, rdev, data)
            _member(out, 0, "TRAILER!!!", 0, (0, 0), b"")


def _member(out, inode, name, mode, rdev, data):
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, rdev[0], rdev[1], len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
    out.write(head + b"\0" * (-len(head) % 4))
    out.write(data + b"\0" * (-len(data) % 4))
