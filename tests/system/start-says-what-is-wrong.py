#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a start cannot use it names, in one true sentence, with status 1: keys, nodes, the mount point,
options of mount(8), /dev/fuse, privileges. The node and the tools say the same of keys."""

import os
import re
import stat

import lab
from lab import expect, program
from remote import Node
from startup import USER, as_user, command, folder, nothing_left, open_device


def says(l, pattern, *words, status=1, lines=1):
    said = l.run(*words, status=status, seconds=20)
    expect(re.search(pattern, said), "%s\nsaid: %s\nnot: %s", " ".join(map(str, words)), said, pattern)
    expect(not lines or said.count("\n") == lines, "%d lines, not %d:\n%s", said.count("\n"), lines, said)


def key_file(l, name, text, mode=0o600, owner=0):
    path = l.path(name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    os.chown(path, owner, owner)
    return path


def keys(l, node, path):
    good = key_file(l, "good", "0123456789abcdef0123456789")
    keyed = Node(l, "64M", "--key", good, name="keyed")
    bad = [("16 to 4096 bytes", key_file(l, "short", "short\n")),
           ("16 to 4096 bytes", key_file(l, "long", "x" * 5000)),
           ("16 to 4096 bytes", l.folder),
           ("others than its owner", key_file(l, "open", "0123456789abcdef0123456789", 0o644)),
           ("others than its owner", key_file(l, "foreign", "0123456789abcdef0123456789", 0o600, 1234)),
           ("No such file", l.path("none"))]
    for pattern, key in bad:
        says(l, "key.*%s.*%s" % (key, pattern), *command([node], path, "--key", key))
        says(l, "key.*%s.*%s" % (key, pattern), program("gvm-memnode"), "--memory", "64M", "--key", key)
        says(l, "key.*%s.*%s" % (key, pattern), program("gvm"), "node", "--key", key, node.address)
    other = key_file(l, "other", "fedcba9876543210fedcba9876543210")
    says(l, "refused for good: the node (refused|does not hold) the key", *command([keyed], path, "--key", other))
    says(l, "refused for good: the node needs a key", *command([keyed], path))
    says(l, "refused for good: the node holds no key", *command([node], path, "--key", good))
    # one of two is enough to fail: one is no majority
    says(l, "%s refused for good" % keyed.address, *command([keyed, node], path), lines=None)
    says(l, "key", program("gvm"), "node", "--key", other, keyed.address)


def places(l, node, path):
    says(l, "none: there is no such directory", *command([node], l.path("none")))
    says(l, "not a directory", *command([node], key_file(l, "file", "")))
    for address in ("127.0.0.1:0", "127.0.0.1:99999", "1.2.3", "fd00::2", "[::1", "a b", "host:", "1.2.3.4:x"):
        says(l, "node %s: not an address" % re.escape(address), *command([address], path))
    says(l, "no answer|no majority", *command(["127.0.0.1:1"], path, "--timeout", "1"), lines=None)
    conf = l.path("conf")
    with open(conf, "w") as f:
        f.write("0 127.0.0.1:9999 cpu\n")
    says(l, "none of its nodes has the role mem", program("gvmfs"), "--conf", conf, path)
    says(l, "none: No such file", program("gvmfs"), "--conf", l.path("none"), path)


def options(l, node, path):
    for option, pattern in (("bogus", "bogus: there is no such option"), ("remount", "cannot be changed"),
                            ("timeout=x", "timeout x: not a number"), ("key", "key needs a value|needs a value")):
        said = l.run(program("gvmfs"), "none", path, "-o", "nodes=%s,%s" % (node.address, option), status=None)
        expect(re.search(pattern, said) and said.count("\n") == 1, "-o %s: it said: %s", option, said)
    says(l, "no memory nodes", program("gvmfs"), path, status=2, lines=2)
    says(l, "unrecognized option", program("gvmfs"), "--bogus", path, status=2, lines=2)


def limits(l, node, path):
    """Those that a shell sets (ulimit), and that this process may not raise."""
    under = ("setpriv", "--bounding-set", "-sys_resource", "prlimit")
    piped = ("bash", "-o", "pipefail", "-c", '"$@" 2>&1 | cat', "bash")  # the log is a file, too
    for limit, hint in (("--fsize=0:0", "ulimit -f"), ("--as=60000000", "ulimit -v"), ("--nofile=8:8", "ulimit -n")):
        says(l, "memory for the journal: .*" + hint, *piped, *under, limit, *command([node], path))
    says(l, "--memory: .*ulimit -v", *under, "--as=60000000", program("gvm-memnode"), "--memory", "64M")
    # A soft limit is raised.
    gvmfs = l.start("gvmfs", *under, "--fsize=0:", *command([node], path, "-f"))
    lab.wait_for("it is mounted", lambda: os.path.ismount(path))
    said = l.run("prlimit", "--fsize=4096", program("gvm"), "run", "--local", "16M", "--mount", path, "--",
                 "qemu-system-x86_64", "-m", "32M", status=1)
    expect(re.search("cannot be sized: .*ulimit -f", said), "gvm run said: %s", said)
    expect(not os.listdir(path), "it left %s", os.listdir(path))
    l.run("umount", path)
    gvmfs.succeed(20)


def privileges(l, node, path):
    l.run("unshare", "--mount", "sh", "-c", "mount -t tmpfs none /dev && exec \"$@\" 2>&1 | tee %s; true" %
          l.path("said"), "sh", *command([node], path, "-f"))
    with open(l.path("said")) as f:
        said = f.read()
    expect("/dev/fuse is missing" in said and said.count("\n") == 1, "it said: %s", said)
    if stat.S_IMODE(os.stat("/dev/fuse").st_mode) & 0o006 != 0o006:
        says(l, "/dev/fuse cannot be opened", *as_user(l, [node], path))
    open_device(l)
    says(l, "cannot be mounted: .*no write access", *as_user(l, [node], path))
    os.chown(path, USER, USER)
    with open(l.path("fuse.conf"), "w"):
        pass
    l.run("mount", "--bind", l.path("fuse.conf"), "/etc/fuse.conf")
    says(l, "cannot be mounted: .*user_allow_other", *as_user(l, [node], path, "--allow-other"))


def test(l):
    node = Node(l, "64M")
    path = folder(l, "place")
    keys(l, node, path)
    places(l, node, path)
    options(l, node, path)
    limits(l, node, path)
    privileges(l, node, path)
    nothing_left(path)


lab.main(test)
