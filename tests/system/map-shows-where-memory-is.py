#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm map shows of each part of a region whether it is here, on its way, or on the nodes, and on which: of a mapped file as of
one on the fast path, of which it changes nothing by looking; as text of the width that there is, in colours on a terminal
only, as SVG and to programs."""

import json
import mmap
import os
import pty
import re
import select
import signal
import subprocess
import xml.etree.ElementTree

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

CHUNK, MIB = 128 << 10, 1 << 20
HERE = ("hot", "here", "only", "cold", "coming", "going")
SVG = "{http://www.w3.org/2000/svg}"


def gvm_map(l, *words, status=0):
    return l.run(program("gvm"), "map", *words, status=status)


def told(l, path):
    found = json.loads(gvm_map(l, "--json", path))
    at = 0
    for run in found["runs"]:
        expect(run["offset_bytes"] == at and run["size_bytes"] > 0, "not one after the other: %s", found["runs"])
        at += run["size_bytes"]
    for state, size in found["states_bytes"].items():
        expect(size == sum(run["size_bytes"] for run in found["runs"] if run["state"] == state), "%s: %s", state, found)
    expect(at == found["size_bytes"] == os.path.getsize(path), "not all of it: %s", found)
    return found


def state_at(found, offset):
    return next(run["state"] for run in found["runs"] if run["offset_bytes"] <= offset < run["offset_bytes"] + run["size_bytes"])


def of_a_file(l, mount):
    path = mount.region("a<b>&c", 16 * MIB)
    expect(told(l, path)["states_bytes"]["nothing"] in (0, 16 * MIB), "of what is not open: %s", told(l, path))
    with open(path, "r+b") as f:
        f.seek(4 * MIB)
        f.write(os.urandom(4 * MIB))
        f.flush()
        os.fsync(f.fileno())
        found = told(l, path)
        expect([(run["offset_bytes"], run["size_bytes"]) for run in found["runs"] if run["state"] == "nothing"] ==
               [(0, 4 * MIB), (8 * MIB, 8 * MIB)], "%s", found["runs"])
        expect(state_at(found, 5 * MIB) in ("nodes", "cached"), "%s", found["runs"])
        expect(sorted(node["size_bytes"] > 0 for node in found["nodes"]) == [True, True], "%s", found["nodes"])
        expect(sum(node["size_bytes"] for node in found["nodes"]) == 4 * MIB, "%s", found["nodes"])
        said = gvm_map(l, "--columns", "64", path).splitlines()
        expect(said[1:3] == ["." * 32 + "n" * 32, "." * 64] or set(said[1][32:]) <= set("nm"), "%s", said)
        with mmap.mmap(f.fileno(), 16 * MIB) as memory:
            memory[5 * MIB]
            wait_for("what is read is cached", lambda: state_at(told(l, path), 5 * MIB) in ("cached", "going"))

            def dirty():
                memory[12 * MIB] = memory[12 * MIB] ^ 1
                return state_at(told(l, path), 12 * MIB) == "going"
            wait_for("what is written is on its way", dirty)
        draws_it(l, path)
    wait_for("it is closed", lambda: told(l, path)["states_bytes"]["unknown"] == 16 * MIB)
    expect(gvm_map(l, path).count(", at most") == 2, "it knows what is not known")


def draws_it(l, path):
    svg = l.path("map.svg")
    gvm_map(l, "--svg", svg, path)
    tree = xml.etree.ElementTree.parse(svg).getroot()
    expect(tree.tag == SVG + "svg" and "a<b>&c: 16 MiB" in tree.find(SVG + "text").text, "%s", tree.find(SVG + "text").text)
    spans = sorted(tuple(int(n, 16) for n in re.findall(r"0x[0-9a-f]+", title.text)) for title in tree.iter(SVG + "title"))
    expect(spans[0][0] == 0 and spans[-1][1] == 16 * MIB and all(a[1] == b[0] for a, b in zip(spans, spans[1:])), "%s", spans)
    gvm_map(l, "--svg", l.path("no/map.svg"), path, status=1)
    plain = gvm_map(l, path)
    expect("\x1b" not in plain and max(map(len, plain.splitlines()[1:])) <= 80, "%s", plain)
    coloured = on_a_terminal(path)
    expect("\x1b[38;5;" in coloured and "\u2580" in coloured and "\x1b[0m" in coloured.splitlines()[1], "%s", coloured)
    expect("\x1b" not in on_a_terminal(path, NO_COLOR="1"), "NO_COLOR")


def on_a_terminal(path, **environment):
    master, slave = pty.openpty()
    with subprocess.Popen([program("gvm"), "map", path], stdin=slave, stdout=slave,
                          env={**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8", **environment}) as process:
        os.close(slave)
        said = b""
        while select.select([master], [], [], lab.patience(20))[0]:
            try:
                said += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    expect(process.returncode == 0, "status %s: %s", process.returncode, said)
    return said.decode()


def on_the_fast_path(l, mount):
    path = mount.region("ram", 32 * MIB)
    mount.budget("ram", 8 * MIB)
    guest = l.start("guest", program("torture-fast"), "--alone", "--file", path, "--disk", l.path("disk"), "--shadow",
                    l.path("shadow"), "--seconds", "300")
    wait_for("some are evicted", lambda: mount.stats("ram")["chunks_fetched"] > 50)
    found = told(l, path)
    expect(found["states_bytes"]["nodes"] > 0 and found["states_bytes"]["cached"] == 0, "%s", found)
    guest.signal(signal.SIGSTOP)

    def at_rest():
        before = mount.stats("ram")
        found = told(l, path)
        moving = found["states_bytes"]["coming"] + found["states_bytes"]["going"]
        return mount.stats("ram") == before and not moving and (found, before["resident_bytes"])
    found, resident = wait_for("nothing moves", at_rest)
    here = sum(found["states_bytes"][state] for state in HERE)
    expect(resident <= here <= resident // 4096 * CHUNK and here < 32 * MIB, "%d here, %d resident: %s", here, resident, found)
    mount.kill_worker()
    guest.signal(signal.SIGCONT)
    wait_for("a successor tells it, too", lambda: told(l, path)["states_bytes"]["hot"] + told(l, path)["states_bytes"]["here"])
    guest.signal(signal.SIGKILL)
    guest.wait(20)


def test(l):
    mount = Mount(l, [Node(l, "64M"), Node(l, "64M")])
    of_a_file(l, mount)
    on_the_fast_path(l, mount)
    expect("not a region" in gvm_map(l, mount.path, status=1) and "not a region" in gvm_map(l, program("gvm"), status=1), "of what is none")
    for window in ("", "x", "-1", "99999999999999999999", "1"):
        try:
            expect(not os.getxattr(mount.file("ram"), "user.gvm.map." + window), "of window '%s' something", window)
        except OSError:
            pass


lab.main(test)
