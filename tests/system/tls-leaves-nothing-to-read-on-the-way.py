#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Over TLS nothing of pages and names can be read on the way to a node, and nothing that is altered on the way is
believed: users notice a pause. Nodes and mounts that do not agree on TLS say so."""

import os
import random
import threading

import lab
from lab import expect, program
from remote import Mount, Node, forget, open_error
from way import Way

MIB = 1 << 20
SIZE = 24 * MIB
PAGE_TEXT = b"a text on a page that is nobody else's business: "
NAME = "name-that-is-nobody-elses-business"


class Tap(Way):
    """A way to a node that keeps all that passes, and may alter a bit of it now and then."""

    def __init__(self, node):
        self.kept, self.flips, self.flip_every = [], 0, 0
        self.lock = threading.Lock()
        super().__init__(node)

    def carry(self, source, sink, answers):
        until = random.randrange(1, self.flip_every) if self.flip_every else 0
        while data := source.recv(1 << 16):
            with self.lock:
                self.kept.append(data)
            if self.flip_every and len(data) >= until:
                data = bytearray(data)
                data[until - 1] ^= 1 << random.randrange(8)
                self.flips += 1
                until += random.randrange(1, self.flip_every)
            until = max(until - len(data), 1)
            sink.sendall(data)

    def saw(self, text):
        with self.lock:
            return text in b"".join(self.kept)


def text_write(mount):
    """Pages that do not compress well, with the text at the beginning of each."""
    path = mount.region(NAME, MIB)
    with open(path, "r+b") as f:
        for page in range(MIB // 4096):
            f.seek(page * 4096)
            f.write(PAGE_TEXT + os.urandom(4096 - len(PAGE_TEXT)))
        f.flush()
        os.fsync(f.fileno())
    forget(path)
    with open(path, "rb") as f:
        expect(f.read(len(PAGE_TEXT)) == PAGE_TEXT, "the text is not there any more")


def test(l):
    key, other = l.path("key"), l.path("other")
    for path, text in ((key, "a secret that both sides hold"), (other, "a secret of others' own")):
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(text)
    plain, node = Node(l, "96M", "--key", key), Node(l, "96M", "--key", key, "--tls")

    tap = Tap(plain)  # what would be seen without it
    mount = Mount(l, [tap], "--key", key)
    text_write(mount)
    mount.unmount()
    expect(tap.saw(PAGE_TEXT) and tap.saw(NAME.encode()), "the tap does not see what passes it")

    tap = Tap(node)
    with open(l.path("cluster.conf"), "w") as f:
        f.write("tls = yes\n0 %s mem\n" % tap.address)
    mount = Mount(l, [], "--key", key, "--conf", l.path("cluster.conf"))
    text_write(mount)
    expect(len(tap.kept) > 10, "nothing passed the tap")
    expect(not tap.saw(PAGE_TEXT[:16]), "a page could be read on the way")
    expect(not tap.saw(NAME.encode()[:16]), "a name could be read on the way")
    expect(not tap.saw(b"GVM1"), "a frame could be read on the way")

    ram = mount.region("ram", SIZE)
    tap.flip_every = 3 * MIB
    for seed in (1, 2):
        l.write(ram, 0, SIZE, seed, seconds=120)
        mount.kill_worker()
        forget(ram)
        l.check(ram, 0, SIZE, seed, seconds=120)
    tap.flip_every = 0
    expect(tap.flips >= 2, "only %d bits were altered", tap.flips)
    expect(mount.stats().get("io_errors", 0) == 0, "I/O errors")
    mount.says("TLS: ")

    for args, why in ((("--key", key), "the node demands TLS (--tls)"),
                      (("--key", other, "--tls"), "the node refused the key")):
        said = l.run(program("gvm"), "node", *args, node.address, status=1)
        expect(why in said, "it said: %s", said)
    said = l.run(program("gvm"), "node", "--key", key, "--tls", plain.address, status=1)
    expect("the node does not use TLS (--tls)" in said, "it said: %s", said)
    node.process.says("refused: the client does not use TLS")
    plain.process.says("refused: the client uses TLS")
    expect("--tls needs" in l.run(program("gvm"), "node", "--tls", node.address, status=2), "no key, no reason")

    node.restart_empty()  # a declared loss, and the mount goes on with what is new
    lab.wait_for("the loss is noticed", lambda: open_error(ram), 30)
    fresh = mount.region("fresh", 4 * MIB)
    l.write(fresh, 0, 4 * MIB, 5, seconds=60)
    l.check(fresh, 0, 4 * MIB, 5)


lab.main(test)
