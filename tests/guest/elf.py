# SPDX-License-Identifier: GPL-2.0-or-later
"""What a dynamic program needs beside itself: its interpreter and the closure of its libraries."""

import os
import struct

LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "lib", "usr/lib")


def needed(path):
    """(interpreter or None, names of the libraries) of an x86-64 ELF file."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:5] != b"\x7fELF\x02":
        return None, []
    phoff, = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    interpreter, dynamic, loads = None, b"", []
    for i in range(phnum):
        kind, _, offset, vaddr, _, size = struct.unpack_from("<IIQQQQ", data, phoff + i * phentsize)
        if kind == 1:
            loads.append((vaddr, offset, size))
        elif kind == 2:
            dynamic = data[offset:offset + size]
        elif kind == 3:
            interpreter = data[offset:offset + size].rstrip(b"\0").decode()
    tags = [struct.unpack_from("<QQ", dynamic, i) for i in range(0, len(dynamic) - 15, 16)]
    strtab = next((value for tag, value in tags if tag == 5), None)
    if strtab is None:
        return interpreter, []
    base = next(strtab - vaddr + off for vaddr, off, size in loads if vaddr <= strtab < vaddr + size)
    names = [data[base + v:data.index(b"\0", base + v)].decode() for tag, v in tags if tag == 1]
    return interpreter, names


def closure(program, trees=("/",)):
    """{path in the guest: file on this host} of everything that `program` loads."""
    found, todo = {}, [program]
    while todo:
        interpreter, names = needed(todo.pop())
        if interpreter:
            names = names + [os.path.basename(interpreter)]
        for name in names:
            if any(os.path.basename(place) == name for place in found):
                continue
            path = _find(name, trees)
            if not path:
                raise LookupError("%s: no library %s" % (program, name))
            found["/lib/x86_64-linux-gnu/" + name] = path
            todo.append(path)
        if interpreter:
            found[interpreter] = found["/lib/x86_64-linux-gnu/" + os.path.basename(interpreter)]
    return found


def _find(name, trees):
    for tree in trees:
        for folder in LIBRARY_FOLDERS:
            path = os.path.join(tree, folder, name)
            if os.path.exists(path):
                return os.path.realpath(path)
    return None
