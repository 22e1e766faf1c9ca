#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that lies about a sealed region, in all ways that there are, to a file and to the fast path: the access is an
error, and what the host has told of is there again when the node is honest. Nothing of what a program wrote is in the
node's memory. A mount without the key, or with another, does not open the region, and says why."""

import errno
import os
import random
import re
import signal

import lab
from access import content
from lab import expect, program
from mapper import Mapper
from remote import Mount, Node, open_error
from sealing import Liar, holds, key_file

CHUNK = 128 << 10
MIB = 1 << 20
SIZE = 16 * MIB
LIES = ["flip", "tag", "old", "swap", "elsewhere", "zero", "plain"]
APART = SIZE // len(LIES) // CHUNK * CHUNK


def read_page(path, offset):
    """A page from the nodes: its bytes, or an errno."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, 4096, offset)
    except OSError as why:
        return why.errno
    finally:
        os.close(fd)


def lie_about(liar, path, how, offset):
    """Whether one was told about the page; if not, the liar has nothing to put in its place."""
    before = liar.counts()[3]
    liar.lies(how)
    got = read_page(path, offset)
    right, told = content(offset, 4096, 2), liar.counts()[3] > before
    # A page is asked for by itself where an answer was refused: then what comes may be what was stored.
    expect(got == right or (told and got == errno.EIO), "%s: a page of a lying node reads as %s", how,
           got if isinstance(got, int) else repr(got[:16]))
    liar.lies("honest")
    got = read_page(path, offset)
    expect(got == right, "%s: the node is honest again, and the page reads as %s", how,
           got if isinstance(got, int) else repr(got[:16]))
    return told


def lies_are_errors(l, mount, liar, path, successor):
    for i, how in enumerate(LIES):
        # The first page of a chunk is random, and was other before. Each in a place that nothing has read yet.
        places = [i * APART + (1 + 3 * successor + 6 * n) * CHUNK for n in range(APART // CHUNK // 6)]
        expect(any(lie_about(liar, path, how, place - place // 4096 % 3 * 4096) for place in places),
               "%s: no lie was told", how)
    mount.says(r"read of chunk \d+ .*REFUSED: it is not what this host sealed last")


def fast_path_gets_no_lie(l, mount, liar, path):
    """A page that cannot be had is a memory failure to whoever touches it."""
    mount.budget("ram", 2 * MIB)
    guest = Mapper(l, path)
    guest.do("fill", 0, SIZE, 3, seconds=60)
    guest.do("check", SIZE // 2, MIB, 3)
    liar.lies("old")
    guest.ask("check", 0, MIB, 3)
    status = guest.process.wait(30)
    expect(status == -signal.SIGBUS, "a program that touches what a node lied about ended with status %s:\n%s",
           status, guest.process.log())
    liar.lies("honest")
    mount.drained("ram")
    l.check(path, 0, SIZE, 3)


def node_has_no_plaintext(l, node, key):
    marks = [random.Random(n).randbytes(64) for n in range(2)]
    for mark, options, found in ((marks[0], ["--no-seal"], True), (marks[1], ["--seal-key-file", key], False)):
        mount = Mount(l, [node], *options)
        path = mount.region("marked-%d" % found, MIB)
        with open(path, "r+b") as f:
            for at in range(0, MIB, 4096):
                # Once as lz4 leaves it, once as it is.
                f.write((mark + bytes(4096 - len(mark))) if at % 8192 else random.randbytes(4096 - 64) + mark)
        mount.unmount()
        expect(holds(node.process.pid, mark) == found, "the node's memory %s what was written",
               "lacks" if found else "holds")


def others_do_not_open(l, node, key):
    for options, error, said in (
            ([], errno.ENOKEY, "needs --seal-key-file"),
            (["--seal-key-file", key_file(l, "other.key")], errno.EKEYREJECTED, "this mount has key"),
            (["--seal-key-file", key], 0, None)):
        mount = Mount(l, [node], *options)
        for name in ("ram", "other"):
            got = open_error(mount.file(name))
            expect(got == error, "%s: opening gives %s", options, got)
        got = open_error(mount.file("marked-1"))
        expect(got == (errno.EPERM if options else 0), "an unsealed region opens with %s under %s", got, options)
        if said:
            mount.says(r"\[ram\]: it is sealed.*%s" % said)
        else:
            l.check(mount.file("ram"), 0, SIZE, 3)  # the host is another one: what the nodes have is what was written
        mount.unmount()


def starts_say_what_is_lacking(l, node, key):
    folder, loose = l.path("nothing"), key_file(l, "loose.key")
    os.mkdir(folder)
    os.chmod(loose, 0o644)
    away = "10.77.0.1:9999"  # nobody is there, and nobody is asked
    for nodes, options, status, pattern in (
            (away, ["--seal-key-file", loose], 1, "its mode is 0644"),
            (away, ["--seal-key-file", l.path("none")], 1, "No such file"),
            (away, ["--no-seal", "--seal-key-file", key], 2, "contradicts"),
            *([] if os.path.exists("/etc/gvm/seal.key") else [
                (away, [], 1, "openssl rand -hex 32 > /etc/gvm/seal.key.*or give --no-seal"),
                (node.address, ["--seal"], 1, "openssl rand -hex 32 > /etc/gvm/seal.key")])):
        said = l.run(program("gvmfs"), "--nodes", nodes, *options, folder, status=status)
        expect(re.search(pattern, said), "%s: it says %s", options, said)


def test(l):
    node = Node(l, "192M")
    liar = Liar(l, node)
    key = key_file(l)
    starts_say_what_is_lacking(l, node, key)
    node_has_no_plaintext(l, node, key)
    mount = Mount(l, [liar], "--seal-key-file", key)
    path, other = (mount.region(name, SIZE) for name in ("ram", "other"))
    hold = os.open(path, os.O_RDWR)  # while this host has it open, it knows what it sent
    l.write(path, 0, SIZE, 1)
    l.write(other, 0, SIZE, 4)
    l.write(path, 0, SIZE, 2)
    lies_are_errors(l, mount, liar, path, False)
    mount.kill_worker()
    lies_are_errors(l, mount, liar, path, True)
    os.close(hold)
    fast_path_gets_no_lie(l, mount, liar, path)
    mount.unmount()
    others_do_not_open(l, node, key)


lab.main(test)
