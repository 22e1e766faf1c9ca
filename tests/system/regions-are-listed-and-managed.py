#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm status, gvm region list and gvm node list show mounts, regions and nodes as they are, also to programs; gvm region makes, resizes and deletes
regions, as a whole or not at all, with as many copies as they are to have, and nothing that loses contents or a guest's memory without
--force."""

import errno
import json
import mmap
import os
import re
import signal

import lab
from lab import expect, program, wait_for
from remote import Mount, Node

MIB = 1 << 20


def gvm(l, *words, status=0):
    return l.run(program("gvm"), *words, status=status)


def region(l, *words, status=0):
    return gvm(l, "region", *words, status=status)


def listed(l, folder):
    return {row["name"]: row for row in json.loads(region(l, "list", "--json", folder))}


def files(l, mount, path):
    region(l, "create", path, "16M")
    expect(os.path.getsize(path) == 16 * MIB, "its size is %d", os.path.getsize(path))
    expect("there is one" in region(l, "create", path, "16M", status=1), "made twice")
    said = region(l, "create", path + "-large", "1T", status=1)
    expect("cannot promise" in said and not os.path.exists(path + "-large"), "%s, %s", said, os.listdir(mount.path))
    l.write(path, 0, 8 * MIB, 1)
    region(l, "resize", path, "24M")
    expect(os.path.getsize(path) == 24 * MIB, "its size is %d", os.path.getsize(path))
    expect("--force" in region(l, "resize", path, "8M", status=1), "made smaller without --force")
    l.check(path, 0, 8 * MIB, 1)
    region(l, "resize", "--force", path, "8M")
    l.check(path, 0, 8 * MIB, 1)
    expect("not a size" in region(l, "resize", path, "much", status=2), "a size is none")
    for wrong in ((l.path("no"), "1M"), (os.path.join(mount.path, "no folder/x"), "1M")):
        region(l, "create", *wrong, status=1)
        expect(not os.path.exists(wrong[0]), "%s was made", wrong[0])
    expect("not a region" in region(l, "delete", l.path("shadow"), status=1) and os.path.exists(l.path("shadow")), "not ours")


def size_of(text):
    """Bytes of '1.5 GiB', and by how much they may be rounded."""
    number, unit = text.split()
    unit = 1 << 10 * "B KiB MiB GiB TiB".split().index(unit)
    return float(number) * unit, unit / 2


def close(text, number):
    said, off = size_of(text)
    return abs(said - number) <= off


def lines(text):
    return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", text, re.M)}


def json_says_all(l, mount, node, path):
    """Each field of what people are shown is in what programs are."""
    said, (row,) = region(l, "list", mount.path).splitlines()[1], json.loads(region(l, "list", "--json", mount.path))
    size, held, here, budget, *state = re.match(r" *(\S+ \S*B)  +(\S+ \S*B)  +(-|\S+ \S*B)  +(-|\S+ \S*B)  (.{9})  (.*)",
                                                said).groups()
    expect(close(size, row["size_bytes"]) and close(held, row["held_bytes"]), "%s, %s", said, row)
    expect(here == "-" if not row["fast_path"] else close(here, row["here_bytes"]), "%s, %s", said, row)
    expect(budget == "-" if row["budget_bytes"] is None else close(budget, row["budget_bytes"]), "%s, %s", said, row)
    expect([word.strip() for word in state] == [row["state"], row["name"]], "%s, %s", said, row)
    expect(not row["failed"] and not row["nodes_away"] and not row["slots_degraded"], "%s", row)
    whole, one = json.loads(gvm(l, "stat", "--json", mount.path, path))
    for raw, found in ((mount.path, whole), (path, one)):
        expect(found["path"] == raw, "%s", found)
        expect(lines(gvm(l, "stat", "--raw", raw)).keys() == found["counters"].keys(), "%s", found)
    expect(one["size_bytes"] == os.path.getsize(path) and one["counters"]["chunks_written"] > 0, "%s", one)
    expect(whole["lent_bytes"] > whole["free_bytes"] > 0, "%s", whole)
    told, = json.loads(gvm(l, "node", "--json", node.address))
    expect(told["address"] == node.address and told["counters"].keys() == lines(gvm(l, "node", node.address)).keys(), "%s", told)
    (told,) = json.loads(gvm(l, "node", "--json", "--regions", node.address))[0]["regions"]
    said = gvm(l, "node", "--regions", node.address)
    expect(told["id"] in said and told["kind"] == "file" and "file: " + told["name"] in said, "%s, %s", said, told)
    expect(told["in_use"] == ("in use" in said) and told["size_bytes"] == os.path.getsize(path), "%s, %s", said, told)
    said = gvm(l, "node", "--json", node.address, "1.2.3", status=1)  # and the error for people before
    told = json.loads(said[said.index("[\n"):])
    expect("counters" in told[0] and "not an ADDRESS" in told[1]["error"], "%s", told)
    os.rename(path, path + "\udcff\u00e4")
    expect([row["name"] for row in json.loads(region(l, "list", "--json", mount.path))] == [name_of(path) + "\ufffd\u00e4"], "bytes")
    os.rename(path + "\udcff\u00e4", path)


def name_of(path):
    return os.path.basename(path)


def mapped_is_in_use(l, path):
    """A guest without the fast path has the file mapped, and its descriptor closed, as QEMU has not."""
    with open(path, "r+b") as f:
        memory = mmap.mmap(f.fileno(), 0)
    expect("mapped" in region(l, "delete", path, status=1) and os.path.exists(path), "deleted under a mapping")
    memory.close()
    wait_for("it is let go", lambda: not json.loads(gvm(l, "stat", "--json", path))[0]["counters"]["opens"])


def lists(l, mount, other, path):
    os.mkdir(os.path.join(mount.path, "folder"))
    region(l, "create", os.path.join(mount.path, "folder/with blank"), "2M")
    region(l, "local", path, "4M")
    rows = listed(l, mount.path)
    expect(set(rows) == {"ram", "folder/with blank"}, "%s", rows)
    row = rows["ram"]
    expect(row["size_bytes"] == 8 * MIB and row["budget_bytes"] == 4 * MIB and not row["fast_path"] and not row["failed"],
           "%s", row)
    expect(rows["folder/with blank"]["budget_bytes"] is None, "%s", rows)
    expect(set(listed(l, os.path.join(mount.path, "folder"))) == {"with blank"}, "of a folder")
    said = region(l, "list", mount.path)
    expect("4 MiB" in said and "folder/with blank" in said, "%s", said)
    expect("several" in region(l, "list", status=1) or "places" in region(l, "list", status=1), "which mount?")
    expect("gvm" in region(l, "list", l.folder, status=1), "a folder of no mount")
    mounts = {each["path"]: each for each in json.loads(gvm(l, "status", "--json", mount.path, other.path))}
    expect(set(mounts) == {mount.path, other.path}, "%s", mounts.keys())
    expect({row["name"] for row in mounts[mount.path]["regions"]} == set(rows), "%s", mounts)
    counters = mounts[mount.path]["counters"]
    expect(counters["nodes"] == 1 and counters["writes"] > 0 and counters["io_errors"] == 0, "%s", counters)
    expect(mounts[mount.path]["lent_bytes"] > mounts[mount.path]["free_bytes"] > 0, "%s", mounts)
    said = gvm(l, "status", status=None)  # there may be others
    expect(mount.path in said and other.path in said and "1 nodes" in said, "%s", said)
    expect(gvm(l, "status", l.folder, status=1), "of no mount")


def nodes_of(l, mount):
    return {each["address"]: each["connected"] for each in json.loads(gvm(l, "node", "list", "--json", mount.path))}


def knows_its_nodes(l, mount, node):
    wait_for("the node is connected", lambda: nodes_of(l, mount) == {node.address: True})
    expect("connected  " + node.address in gvm(l, "node", "list", mount.path), "the list does not say so")
    node.kill()
    wait_for("the node is away", lambda: nodes_of(l, mount) == {node.address: False}, 30)
    node.start()
    wait_for("the node is back", lambda: nodes_of(l, mount) == {node.address: True}, 30)
    expect("not in a gvmfs mount" in gvm(l, "node", "list", l.folder, status=1), "a folder of no mount")


def copies(path):
    return os.getxattr(path, "user.gvm.replicas")


def has_its_own_copies(l, node, more):
    """Of a mount whose regions have two: one with one, though the worker is replaced before it has a size, and one with three."""
    mount = Mount(l, [node, *more], "--replicas", "2", name="copies")
    path = mount.file("two")
    region(l, "create", path, "1M")
    expect(copies(path) == b"2" and mount.stats("two")["region_nodes"] >= 2, "it has %s copies", copies(path))
    try:
        os.setxattr(path, "user.gvm.replicas", b"1")
        raise lab.Failure("its copies can be changed")
    except OSError as e:
        expect(e.errno == errno.EBUSY, "%s", e)
    path = mount.file("one")
    open(path, "w").close()
    os.setxattr(path, "user.gvm.replicas", b"1")
    mount.kill_worker()
    os.truncate(path, MIB)
    expect(copies(path) == b"1", "it has %s copies", copies(path))
    said = region(l, "create", "--replicas", "3", mount.file("three"), "1M", status=1)
    expect("too few" in said and not os.path.exists(mount.file("three")), "%s", said)
    region(l, "create", "--replicas", "4", mount.file("three"), "1M", status=2)
    region(l, "resize", "--replicas", "2", path, "2M", status=2)
    for name in ("one", "two"):
        l.write(mount.file(name), 0, MIB, 2)
        l.check(mount.file(name), 0, MIB, 2)
        os.unlink(mount.file(name))
    mount.unmount()


def test(l):
    open(l.path("shadow"), "w").close()
    nodes = [Node(l, "64M"), Node(l, "64M")]
    mount, other = Mount(l, nodes[:1]), Mount(l, nodes[1:], name="other")
    path = mount.file("ram")
    files(l, mount, path)
    json_says_all(l, mount, nodes[0], path)
    mapped_is_in_use(l, path)
    lists(l, mount, other, path)
    knows_its_nodes(l, other, nodes[1])
    region(l, "delete", path)
    expect(not os.path.exists(path), "it is there")
    region(l, "create", path, "32M")
    guest = l.start("guest", program("torture-fast"), "--alone", "--file", path, "--disk", l.path("disk"), "--shadow", l.path("memory"),
                    "--seconds", "60")
    wait_for("the fast path", lambda: listed(l, mount.path)["ram"]["fast_path"])
    expect("fast path" in region(l, "list", mount.path), "the list does not say so")
    expect("--force" in region(l, "delete", path, status=1) and os.path.exists(path), "deleted under a guest")
    guest.signal(signal.SIGKILL)
    guest.wait(20)
    wait_for("it is let go", lambda: not mount.stats("ram")["fast"] + mount.stats("ram")["opens"])
    region(l, "delete", path)
    expect(not os.path.exists(path), "it is there")
    mount.unmount()
    other.unmount()
    has_its_own_copies(l, nodes[0], nodes[1:])


lab.main(test)
