#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Started under a small soft limit of descriptors, a node and gvmfs take what the hard one allows, and
so serve many; a guest that gvm run starts keeps the limits that it was given."""

import re

import lab
from lab import expect, program, wait_for
from launcher import Launcher
from startup import command, folder, mounted, serving

NODES = 40  # each takes several descriptors of gvmfs
SOFT, HARD = 64, 4096
LIMITED = ["prlimit", "--nofile=%d:%d" % (SOFT, HARD)]


def limits(pid):
    with open("/proc/%d/limits" % pid) as f:
        return tuple(map(int, re.search(r"^Max open files\s+(\d+)\s+(\d+)", f.read(), re.M).groups()))


class At:
    """What a launcher needs of a mount."""

    def __init__(self, path):
        self.path = path


def test(l):
    nodes = []
    for number in range(NODES):
        node = l.start("node", *LIMITED, program("gvm-memnode"), "--listen", "127.0.0.1:%d" % (7000 + number),
                       "--memory", "16M", service=True)
        nodes.append(node)
    for node in nodes:
        node.says("listening on")
    expect(limits(nodes[0].pid) == (HARD, HARD), "a node has %s", limits(nodes[0].pid))

    path = folder(l, "mount")
    addresses = ["127.0.0.1:%d" % (7000 + number) for number in range(NODES)]
    process = l.start("gvmfs", *LIMITED, *command(addresses, path, "-f"), service=True)
    wait_for("it is mounted", lambda: mounted(path), 20)
    l.run("stat", path)
    for pid in serving(path):
        expect(limits(pid) == (HARD, HARD), "gvmfs has %s", limits(pid))
    with open(path + "/file", "xb") as f:
        f.truncate(NODES << 20)
    l.write(path + "/file", 0, NODES << 20, 1)

    launcher = Launcher(l, At(path), ram="32M", local="16M")
    run = l.start("gvm-run", *LIMITED, program("gvm"), "run", "--local", "16M", "--mode", "fuse", "--mount", path,
                  "--", launcher.stand_in, "-m", "32M",
                  env={"STAND_IN": "import resource; print('limits', resource.getrlimit(7))"})
    expect("limits (%d, %d)" % (SOFT, HARD) in run.succeed(30), "the guest has other limits:\n%s", run.log())
    l.run("umount", path)
    process.succeed(30)


lab.main(test)
