#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions, their folders and names outlive the mount: the same host finds them again, and so does
another one that knows one node more, lists them in another order, or a configuration file."""

import os

import lab
from lab import expect
from remote import Mount, Node

MIB = 1 << 20
SIZE = 24 * MIB


def tree(path):
    return sorted(os.path.relpath(os.path.join(folder, name), path)
                  for folder, folders, names in os.walk(path) for name in folders + names)


def test(l):
    nodes = [Node(l, "96M"), Node(l, "64M")]
    mount = Mount(l, nodes)
    os.mkdir(mount.file("guests"), 0o750)
    mount.region("guests/one", SIZE)
    l.write(mount.file("guests/one"), 0, SIZE, 1)
    mount.region("two", SIZE)
    # Dirty pages of a mapping that nobody synced: the unmount has to send them.
    l.access("map-write", mount.file("two"), 0, SIZE // 2, 2).succeed(30)
    os.rename(mount.file("two"), mount.file("guests/three"))
    os.chmod(mount.file("guests/three"), 0o640)
    os.chown(mount.file("guests/three"), 1234, 4321)
    mount.unmount()

    for turn, list_of_nodes in enumerate(([nodes[0], nodes[1]], [nodes[1], nodes[0]],
                                          [Node(l, "64M"), nodes[1], nodes[0]])):
        mount = Mount(l, list_of_nodes)
        expect(tree(mount.path) == ["guests", "guests/one", "guests/three"], "it holds %s",
               tree(mount.path))
        found = os.stat(mount.file("guests/three"))
        expect((found.st_mode & 0o777, found.st_uid, found.st_gid, found.st_size) ==
               (0o640, 1234, 4321, SIZE), "guests/three came back as %s", found)
        expect(os.stat(mount.file("guests")).st_mode & 0o777 == 0o750, "the folder's mode is lost")
        l.check(mount.file("guests/one"), 0, SIZE, 1 if turn == 0 else 10 + turn - 1)
        l.check(mount.file("guests/three"), 0, SIZE // 2, 2)
        l.check(mount.file("guests/three"), SIZE // 2, SIZE // 2, 0)
        l.write(mount.file("guests/one"), 0, SIZE, 10 + turn)
        mount.unmount()

    conf = l.path("cluster.conf")
    with open(conf, "w") as f:
        f.write("# the nodes of this test\n")
        for number, node in enumerate(nodes):
            f.write("%d %s cpu,mem\n" % (number, node.address))
    mount = Mount(l, [], "--conf", conf)
    l.check(mount.file("guests/one"), 0, SIZE, 12)
    os.unlink(mount.file("guests/one"))
    os.unlink(mount.file("guests/three"))
    os.rmdir(mount.file("guests"))
    mount.unmount()
    expect(tree(Mount(l, nodes).path) == [], "what was deleted is there again")


lab.main(test)
