#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a start cannot use it names, in one true sentence, with status 1: keys, nodes, the mount point,
options of mount(8), /dev/fuse, privileges. The node and the tools say the same of keys. Each subcommand of gvm says what is wrong with what
it was given, to root and to others."""

import os
import re
import shutil
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


def wrong(l, address, mount, region, file, none):
    """(status, what it says, command line) of gvm: also as a user without rights, where there is a second saying."""
    size, no_mount, no_region = "not a size", "neither a gvmfs mount nor a region in one", "not a region of a gvmfs mount"
    rows = [(2, "gvm %s: unrecognized option '--bogus'" % name, name, "--bogus") for name in
            "run status top stat region attach upgrade map node dsm inspect metrics doctor bench".split()]
    rows += [(1, "there is no such file|No such file", *words) for words in (
        ("status", none), ("stat", none), ("stat", "--json", none), ("map", none), ("upgrade", none), ("inspect", none),
        ("region", "list", none), ("region", "list", "--json", none), ("region", "settle", none), ("region", "take", none),
        ("region", "local", none, "1M"), ("region", "delete", none), ("region", "resize", none, "1M"), ("node", "list", none),
        ("node", "add", none, address), ("metrics", "--mount", none), ("upgrade", "--to", none, mount),
        ("map", "--svg", none + "/x", region), ("inspect", "--snapshot", none + "/x", region))]
    rows += [(1, no_mount + ".*findmnt", *words, file) for words in (("status",), ("stat", "--json"), ("region", "list"))]
    rows += [(1, "not in a gvmfs mount .*findmnt", *words) for words in (("node", "list", file), ("upgrade", file),
                                                                         ("node", "add", file, address))]
    rows += [(1, no_region, *words) for words in (("map", file), ("region", "settle", file), ("region", "delete", file),
                                                  ("region", "local", file), ("region", "local", mount, "1M"))]
    rows += [(1, no_mount, "region", "create", os.path.join(l.folder, "x"), "1M")]
    for number in ("0", "1Z", "1.5", "99999999999999999999", ""):
        rows += [(2, size, "region", "create", mount + "/new", number), (2, "neither a size", "region", "local", region, number),
                 (2, size, "attach", "--local", number, "1"), (2, "not a number from 1", "top", "--batch", number if number != "0" else "-1")]
    rows += [(2, "not 1, 2 or 3", "region", "create", "--replicas", "4", mount + "/new", "1M"),
             (2, "not a number from 2 to", "bench", "--replicas", "2x"), (2, "not a number from 1 to", "bench", "--rounds", "3x"),
             (2, "not a number", "inspect", "--phys", "-1", region), (2, "no guest has so many", "inspect", "--cpu", "4294967296", region),
             (2, "not the number of a process", "attach", "x"), (2, "not the number of a process", "attach", "0"),
             (2, "has no folders proc and sys", "doctor", "--root", none),
             (1, "not an ADDRESS:PORT", "node", "1.2.3"), (1, "not an ADDRESS:PORT", "node", "add", mount, "a b"),
             (1, "an ADDRESS:PORT of this host", "metrics", "--listen", "nope"), (1, "beyond this host's", "metrics", "--listen", "0.0.0.0:1"),
             (1, "no region's id begins so: gvm node --regions", "node", "--remove", "00000000", address),
             (1, "it is not on the fast path", "region", "settle", region),
             (1, "modprobe giantvm_kvm|not joined|Permission", "dsm", "status", "x"), (2, "unknown command", "dsm", "x"),
             (2, "--local SIZE is needed", "run", "--", "true"), (2, "must be auto", "run", "--mode", "x", "--", "true")]
    others = [("lets in nobody but|Permission denied", *words) for words in (
        ("stat", region), ("region", "list", mount), ("region", "local", region, "1M"), ("region", "delete", region), ("map", region),
        ("region", "create", mount + "/new", "1M"), ("inspect", region))]
    others += [("added by root, or by the user", "node", "add", mount, address), ("only root, or the user who mounted it", "upgrade", mount),
               ("only root can attach it", "attach", os.getpid())]
    return rows, others


SHOWS = (("--help",), ("--version",), ("run", "--help"), ("status",), ("doctor", "--root"), ("region", "list"), ("node", "list"), ("stat", "--json"),
         ("metrics", "--mount"))


def commands(l, node, path):
    """Each says in a sentence what is wrong, and ends with a status; none hangs, and none takes a full disk for success."""
    gvmfs = l.start("gvmfs", *command([node], path, "-f", "--no-seal"))
    lab.wait_for("it is mounted", lambda: os.path.ismount(path))
    region, file, own = os.path.join(path, "ram"), key_file(l, "no-region", "x"), l.path("gvm")
    l.run(program("gvm"), "region", "create", region, "1M")
    rows, others = wrong(l, node.address, path, region, file, l.path("none"))
    for status, pattern, *words in rows:
        says(l, pattern, program("gvm"), *words, status=status, lines=None)
    shutil.copy(program("gvm"), own)
    os.chmod(l.folder, 0o755)
    for pattern, *words in others:
        says(l, pattern, "setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", own, *words, lines=None)
    expect(os.path.getsize(region) == 1 << 20 and os.listdir(path) == ["ram"], "changed: %s", os.listdir(path))
    for words in SHOWS:
        about = () if words[0].startswith("--") or "--help" in words else ("/",) if words[0] == "doctor" else (path,)
        for to in ("/dev/full", "&-"):
            says(l, "cannot write to standard output", "sh", "-c", '"$@" >%s' % to, "sh", program("gvm"), *words, *about, lines=None)
    l.run(program("gvm"), "region", "delete", region)
    l.run("umount", path)
    gvmfs.succeed(20)


def test(l):
    node = Node(l, "64M")
    path = folder(l, "place")
    commands(l, node, path)
    keys(l, node, path)
    places(l, node, path)
    options(l, node, path)
    limits(l, node, path)
    privileges(l, node, path)
    nothing_left(path)


lab.main(test)
