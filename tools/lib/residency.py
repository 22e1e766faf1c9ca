# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of a file the page cache holds, by mincore(): asking brings nothing in."""

import ctypes
import mmap
import os

_libc = ctypes.CDLL(None, use_errno=True)


def resident_bytes(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        if not size:
            return 0
        pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        found = (ctypes.c_ubyte * pages)()
        _libc.mmap.restype = ctypes.c_void_p
        where = _libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, fd,
                           ctypes.c_long(0))
        if where == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap of " + path)
        try:
            if _libc.mincore(ctypes.c_void_p(where), ctypes.c_size_t(size), found):
                raise OSError(ctypes.get_errno(), "mincore of " + path)
        finally:
            _libc.munmap(ctypes.c_void_p(where), ctypes.c_size_t(size))
        return sum(bytes(found).translate(_LOWEST_BIT)) * mmap.PAGESIZE
    finally:
        os.close(fd)


_LOWEST_BIT = bytes(value & 1 for value in range(256))
