#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount point and a region may have any bytes in their names: those that the kernel escapes in its
lists, those that QEMU quotes, and those that programs take for something else. The mount has its
settings, and a guest its fast path and its memory, as with a plain name."""

import os

import lab
from lab import expect, program
from qtest import Qtest
from remote import Mount, Node

RAM = 32
MARK = 0x1800000
PLACES = ["plain", "with blank", "tab\tnewline\n", "back\\slash\\040#", "comma,,equals=%s", "-dash", "ünï—コ",
          "quote\"'$(x);*", "\x85\xa0", "\udcff"]


def settings(mount):
    """What gvmfs has set for its mount, as the kernel has it."""
    device = os.stat(mount.path).st_dev
    found = {}
    for name in ("strict_limit", "max_ratio"):
        try:
            with open("/sys/class/bdi/%d:%d/%s" % (os.major(device), os.minor(device), name)) as f:
                found[name] = f.read().strip()
        except OSError:
            pass  # an older kernel
    return found


def guest(l, mount, region, mode, *options):
    name = "guest-%d" % len(l.processes)
    run = l.start("gvm-run", program("gvm"), "run", "--local", "16M", "--mode", mode, "--mount", mount.path,
                  "--region", region, "--", "qemu-system-x86_64", "-S", "-accel", "tcg", "-m", str(RAM), "-nodefaults",
                  "-display", "none", "-qtest", "unix:%s,server=on,wait=off" % l.path(name), "-qtest-log",
                  "none", *options)
    return run, Qtest(run, l.path(name))


def serves(l, mount, region, *options):
    run, qtest = guest(l, mount, region, "uffd", *options)
    qtest.fill(MARK, 8192, 0x5a)
    expect(": uffd" in run.log(), "%r: it is not on the fast path: %s", region, run.log())
    path = mount.file(region)
    expect("fast path" in l.run(program("gvm"), "stat", path), "gvm stat %r does not see it", region)
    with open(path, "rb") as f:
        f.seek(MARK)
        expect(f.read(8192) == b"\x5a" * 8192, "%r: the file shows something else", region)
    run.signal(15)
    run.wait(30)
    run, qtest = guest(l, mount, region, "fuse", *options)
    qtest.expect(MARK, 8192, 0x5a)
    run.signal(15)
    run.wait(30)
    os.unlink(path)


def test(l):
    node = Node(l, "128M")
    usual = None
    for place in PLACES:
        mount = Mount(l, [node], name=place)
        found = settings(mount)
        usual = usual or found
        expect(found == usual, "%r: its settings are %s, not %s", place, found, usual)
        serves(l, mount, "ram")
        mount.unmount()
    expect(usual.get("strict_limit", "0") == "0", "strict_limit is %s", usual)
    mount = Mount(l, [node], name="a b,c")
    for region in PLACES:
        serves(l, mount, region)
    # the same by a backend in JSON, and in a config file
    config = l.path("vm.cfg")
    with open(config, "w") as f:
        f.write('[object "own"]\n  qom-type = "memory-backend-ram"\n  size = "%dM"\n'
                '[machine]\n  memory-backend = "own"\n' % RAM)
    for region in ("comma,equals= blank", "ünï\\\t"):
        serves(l, mount, region, "-machine", "q35,memory-backend=own", "-object",
               '{"qom-type":"memory-backend-ram","id":"own","size":%d}' % (RAM << 20))
        serves(l, mount, region, "-readconfig", config)


lab.main(test)
