#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses to a file by a process of its own, which may wait or die without the test.

    access.py write|check|map-write|map-check|map-later FILE OFFSET BYTES SEED

map-later maps the file, says "mapped", and checks when it gets SIGUSR1.

The content follows from SEED and the page's number; seed 0 is zeros. The last line says "done", or
what went wrong: "differs at N" or an error's name.
"""

import errno
import mmap
import os
import random
import signal
import sys

PAGE = 4096


def page(number, seed):
    """A third random, a third compressible, a third of a byte or two."""
    if not seed:
        return bytes(PAGE)
    source = random.Random("%d %d" % (seed, number))
    if number % 3 == 0:
        return source.randbytes(PAGE)
    if number % 3 == 1:
        return (source.randbytes(24) + bytes(40)) * (PAGE // 64)
    return source.randbytes(2) * (PAGE // 2)


def content(offset, length, seed):
    return b"".join(page(n, seed) for n in range(offset // PAGE, (offset + length) // PAGE))


def differ(found, expected, offset):
    at = next(i for i, (a, b) in enumerate(zip(found, expected)) if a != b)
    kind = "zeros" if not any(found[at - at % PAGE:at - at % PAGE + PAGE]) else "other data"
    return "differs at %d (%s)" % (offset + at, kind)


def access(what, path, offset, length, seed):
    writing = what.endswith("write")
    # A mapping needs a writer's open: what is only open for reading may be another host's.
    fd = os.open(path, os.O_RDONLY if what == "check" else os.O_RDWR)
    expected = content(offset, length, seed)
    if not writing:  # what the page cache holds and nobody maps is to come from the nodes
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if what == "write":
        done = 0
        while done < length:
            done += os.pwrite(fd, expected[done:done + (1 << 20)], offset + done)
        os.fsync(fd)
    elif what == "check":
        done = 0
        while done < length:
            found = os.pread(fd, min(1 << 20, length - done), offset + done)
            if not found:
                return "short at %d" % (offset + done)
            if found != expected[done:done + len(found)]:
                return differ(found, expected[done:], offset + done)
            done += len(found)
    else:
        access_rights = mmap.ACCESS_WRITE if writing else mmap.ACCESS_READ
        with mmap.mmap(fd, offset + length, access=access_rights) as memory:
            if what == "map-later":
                print("mapped", flush=True)
                signal.sigwait([signal.SIGUSR1])
            for at in range(offset, offset + length, PAGE):
                wanted = expected[at - offset:at - offset + PAGE]
                if writing:
                    memory[at:at + PAGE] = wanted
                elif memory[at:at + PAGE] != wanted:
                    return differ(memory[at:at + PAGE], wanted, at)
            if writing:
                memory.flush()
    os.close(fd)
    return "done"


def main():
    what, path, offset, length, seed = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        said = access(what, path, int(offset), int(length), int(seed))
    except OSError as why:
        said = "error %s" % errno.errorcode.get(why.errno, why.errno)
    print(said, flush=True)
    return 0 if said == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
