#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU has the RAM that its command line asks for, by the same names and in the same places, with
`gvm run` as without: sizes in every notation, options that only newer QEMUs have, files of
-readconfig, JSON, NUMA nodes, and options that change what QEMU may do. What could give it another
is refused."""

import json
import os

import lab
from lab import expect, program, wait_for
from monitor import Monitor
from remote import Mount, Node

QEMU = "qemu-system-x86_64"

# A QEMU of the future, which has options that no list of today knows.
NEWER = '''#!/bin/sh
for word; do
    [ "$word" = -help ] && exec printf '%s\\n' \\
        'QEMU emulator version 99.0' 'Standard options:' '-h or -help     display this help and exit' \\
        '-new-flag       do something' '-new-word file  use it' '-xy     file    use it, too'
done
set -f
for word; do
    shift
    case $skip$word in
    -new-flag | --new-flag) continue;;
    -new-word | -xy) skip=the; continue;;
    the*) skip=; continue;;
    esac
    set -- "$@" "$word"
done
exec qemu-system-x86_64 "$@"
'''


def script(l, name, text):
    path = l.path(name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


def cases(l):
    newer = script(l, "newer qemu", NEWER)
    memory = script(l, "memory.cfg", '# sizes\n[memory]\n  size = "48"\n[machine]\n  type = "q35"\n')
    backend = script(l, "backend.cfg", '[object "own"]\n  qom-type = "memory-backend-ram"\n  size = "48M"\n'
                                       '[machine]\n  memory-backend = "own"\n')
    node = lambda i: ["-object", "memory-backend-ram,id=n%d,size=%dM" % (i, 16 + 16 * i), "-numa",  # noqa: E731
                      "node,nodeid=%d,memdev=n%d" % (i, i)]
    return [
        [QEMU],
        [QEMU, "-m", "0x40"],
        [QEMU, "-m", "65537k"],
        [QEMU, "-m", "0.0625G,slots=2,maxmem=1G"],
        [QEMU, "-m", "32M", "-m", "slots=2,maxmem=1G", "--m", "size=48M"],
        [QEMU, "--machine", "q35", "-m", "48M", "-M", "usb=off,memory.size=64M"],
        [QEMU, "-async-teardown", "-m", "48M"],
        [QEMU, "-name", "a,,-m,process=b", "-m", "48M"],
        [newer, "-new-flag", "-m", "48M"],
        [newer, "--new-flag", "-new-word", "-m", "-xy", "-m", "--m", "48M"],
        [QEMU, "-readconfig", memory],
        [QEMU, "-readconfig", memory, "-m", "64M"],
        [QEMU, "-m", "64M", "-readconfig", memory],
        [QEMU, "-readconfig", backend, "-no-user-config"],
        [QEMU, "-machine", "q35,memory-backend=own", "-object",
         json.dumps({"qom-type": "memory-backend-memfd", "id": "own", "size": 48 << 20,
                     "x-use-canonical-path-for-ramblock-id": True})],
        [QEMU, "-m", "48M", *node(0), *node(1)],
        [QEMU, "-m", "64M", "-machine", "pc-i440fx-5.0", "-numa", "node,mem=32M", "-numa", "node,mem=32M"],
        [QEMU, "-mem-path", l.folder, "-m", "48M", "-overcommit", "mem-lock=off"],
        [QEMU, "-m", "48M", "-sandbox", "on", "-runas", "nobody", "-chroot", l.folder, "-S", "-incoming", "defer"],
    ]


def blocks(l, words, prefix=()):
    """The machine's RAM in bytes, and its RAM blocks as the monitor lists them."""
    path = l.path("qmp-%d" % len(l.processes))
    process = l.start("gvm-run" if prefix else "qemu", *prefix, *words, "-accel", "tcg", "-nodefaults", "-display",
                      "none", "-qmp", "unix:%s,server=on,wait=off" % path)

    def listens():
        expect(process.running(), "%s ended with status %s:\n%s", words, process.popen.returncode, process.log())
        try:
            return Monitor(path)
        except OSError:
            return None
    monitor = wait_for("QEMU listens", listens)
    size = monitor.do("query-memory-size-summary")["base-memory"]
    table = monitor.do("human-monitor-command", **{"command-line": "info ramblock"})
    monitor.do("quit")
    process.succeed(30)
    # name, offset, used; not the page size's column, nor what the process has mapped where
    rows = sorted(tuple(row.split()[i] for i in (0, 3, 4)) for row in table.splitlines()[1:] if row.strip())
    return size, rows, process.log()


def refused(l, launched, why, *words):
    run = l.start("gvm-run", *launched, *words)
    expect(run.wait(20) == 1 and why in run.log(), "%s: status %s, %s", words, run.popen.returncode, run.log())


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    launched = [program("gvm"), "run", "--local", "16M", "--mount", mount.path, "--"]
    for words in cases(l):
        plain, ours = blocks(l, words), blocks(l, words, launched)
        expect(plain[:2] == ours[:2], "%s:\nplain QEMU has %s,\nunder gvm run %s\n%s", words, plain[:2], ours[:2],
               ours[2])
        l.log("%4d MiB: %s", plain[0] >> 20, " ".join(words[1:]))
    silent = script(l, "silent", "#!/bin/sh\nexit 1\n")
    refused(l, launched, "-help", silent, "-what-is-that", "-m", "48M")
    refused(l, launched, "-set", QEMU, "-object", "memory-backend-ram,id=own,size=48M", "-machine",
            "memory-backend=own", "-set", "object.own.size=64M")
    refused(l, launched, "not a size", QEMU, "-m", "1.5")
    refused(l, launched, "before it starts", QEMU, "-m", "48M", "-mem-prealloc")
    refused(l, launched, "/no/such.cfg", QEMU, "-readconfig", "/no/such.cfg")
    expect(not os.listdir(mount.path), "left: %s", os.listdir(mount.path))


lab.main(test)
