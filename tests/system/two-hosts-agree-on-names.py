#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two mounts that create, rename and remove the same names at once agree in the end, and so do the
nodes; what one creates under a name that the other holds is never lost; all of it can be removed. Lookups
that wait for the same answer ask once. A name that comes too late for a fence is made all the same."""

import os
import random
import threading

import lab
from lab import expect, program, wait_for
from remote import Mount, Node


def storm(mount, seed, errors):
    draw = random.Random(seed)
    for i in range(120):
        name, other = ("n%d" % draw.randrange(6) for _ in range(2))
        try:
            kind = draw.randrange(4)
            if kind == 0:
                os.close(os.open(mount.file(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            elif kind == 1:
                os.unlink(mount.file(name))
            elif kind == 2:
                os.rename(mount.file(name), mount.file(other))
            else:
                os.mkdir(mount.file(name + "-folder"))
                os.rmdir(mount.file(name + "-folder"))
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            pass
        except OSError as e:
            if e.errno not in (16, 116):  # changed by the other at the very moment
                errors.append(e)


def test(l):
    nodes = [Node(l, "64M", name="node-%d" % i) for i in range(3)]
    one, two = Mount(l, nodes, name="one"), Mount(l, nodes, name="two")
    errors = []
    threads = [lab.Thread(storm, m, s, errors) for m, s in ((one, 1), (two, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not errors, "a storm gave %s", errors[:3])
    wait_for("both show the same", lambda: sorted(os.listdir(one.path)) == sorted(os.listdir(two.path)),
             20, 0.6)
    while os.listdir(one.path):
        # What shows as name~id takes the plain name when that is free.
        path = one.file(sorted(os.listdir(one.path))[0])
        os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
    wait_for("both are empty", lambda: not os.listdir(one.path) and not os.listdir(two.path), 20, 0.6)

    # A fence of a round that was cut short, far ahead of every birth.
    for node in nodes:
        l.run(program("record_put"), node.address, "--fence", "1000000")
    os.mkdir(one.file("late"))
    wait_for("the other shows it", lambda: os.listdir(two.path) == ["late"], 10, 0.6)

    for node in nodes:
        l.run(program("record_put"), node.address, "--folders", "3000", seconds=60)
    three = Mount(l, nodes, name="three")
    before = sum(node.stats()["tx_bytes"] for node in nodes)
    lookups = [threading.Thread(target=os.path.exists, args=(three.file("no%d" % i),))
               for i in range(100)]
    lab.time.sleep(1.1)
    for lookup in lookups:
        lookup.start()
    for lookup in lookups:
        lookup.join()
    sent = sum(node.stats()["tx_bytes"] for node in nodes) - before
    expect(sent < 20 * 3 * 3000 * 100, "the nodes listed their names for each lookup: %d bytes", sent)


lab.main(test)
