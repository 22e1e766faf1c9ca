#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mount(8) and a line in fstab mount: the call returns when the mount serves, or has failed with a
sentence and a status; umount(8) ends the processes."""

import os
import shutil
import signal

import lab
from lab import expect, program, wait_for
from remote import Node
from startup import folder, kill_whole, mounted, nothing_left, serving, sockets

TYPE = ["mount", "-t", "fuse.gvmfs"]


def install(l):
    """Where mount.fuse3(8) looks, for this test alone."""
    if shutil.which("mount.fuse3") is None and not os.path.exists("/usr/sbin/mount.fuse3"):
        lab.skip("fuse", "there is no mount.fuse3")
    programs = folder(l, "bin")
    shutil.copy(program("gvmfs"), programs)
    l.run("mount", "--bind", programs, "/usr/local/bin")


def options_of(path):
    with open("/proc/self/mounts") as f:
        return next(line.split() for line in f if line.split()[1] == path)


def serves(l, path, source="none"):
    expect(mounted(path) == 1, "%d mounts", mounted(path))
    l.run("touch", path + "/file")
    l.run("rm", path + "/file")
    expect(options_of(path)[0] == source, "its source: %s", options_of(path))


def has_all_options(l, both):
    """Those of gvmfs(8) that say how it works, and of mount(8) that it heeds; replicas= is seen in what it makes."""
    path = folder(l, "options")
    l.run(*TYPE, "-o", "nodes=%s,no_seal,timeout=20,replicas=2,repair_after=5,repair_rate=50,repair_reserve=20,no_balance,no_replay,scrub_rate=0,"
          "force,lease=5,unlinked_lease=60,writers=1,compress=always,noexec,nodiratime,dirsync,x-systemd.mount-timeout=30" % both,
          "none", path)
    shown = options_of(path)[3].split(",")
    expect({"noexec", "nodiratime", "dirsync", "nosuid", "nodev"} <= set(shown), "%s", shown)
    with open(path + "/region", "wb") as f:
        f.truncate(1 << 20)
        expect(b"\nreplicas 2\n" in os.getxattr(path + "/region", "user.gvm.stats"), "%s", os.getxattr(path + "/region", "user.gvm.stats"))
    os.unlink(path + "/region")
    unmount(l, path)


def unmount(l, path):
    names = sockets()
    l.run("umount", path)
    nothing_left(path, names)


def test(l):
    install(l)
    one, two = Node(l, "64M"), Node(l, "64M")
    key = l.path("key")
    with open(key, "w") as f:
        f.write("0123456789abcdef0123456789\n")
    os.chmod(key, 0o600)
    keyed = Node(l, "64M", "--key", key)
    path = folder(l, "with blank")

    both = "%s/%s" % (one.address, two.address)
    for listed in ("nodes=" + both, "nodes=%s,nodes=%s" % (one.address, two.address),
                   'nodes="%s,%s"' % (one.address, two.address)):
        l.run(*TYPE, "-o", listed + ",allow_other,nofail,_netdev,x-systemd.automount,noatime,timeout=20",
              "none", path)
        expect("allow_other" in options_of(path.replace(" ", "\\040"))[3], "not for others")
        expect("noatime" in options_of(path.replace(" ", "\\040"))[3], "not noatime")
        size = os.statvfs(path)
        expect(size.f_blocks * size.f_frsize > 100 << 20, "%s: it has not both nodes", listed)
        unmount(l, path)

    has_all_options(l, both)
    path = folder(l, "place")
    l.run(*TYPE, "-o", "nodes=%s,key=%s" % (keyed.address, key), "none", path)
    serves(l, path)
    unmount(l, path)
    l.run(*TYPE, one.address, path)  # the nodes as the source
    serves(l, path, one.address)
    unmount(l, path)
    l.run(*TYPE, "-r", "-o", "nodes=" + both, "none", path)
    said = l.run("touch", path + "/file", status=1)
    expect("Read-only" in said, "it said: %s", said)
    unmount(l, path)

    # fstab, as `mount -a` of a boot and of an administrator after it
    table = l.path("fstab")
    with open(table, "w") as f:
        f.write("none %s fuse.gvmfs nodes=%s,rw,nosuid,nodev,allow_other,_netdev,nofail,"
                "x-systemd.requires=network-online.target 0 0\n" % (path, both))
    for _ in range(2):
        l.run("mount", "-a", "-T", table)
        serves(l, path)
    kill_whole(path)
    wait_for("it is dead", lambda: not serving(path))
    l.run("umount", path)
    l.run("mount", "-T", table, path)
    serves(l, path)
    unmount(l, path)

    for options, pattern in (("nodes=%s,bogus" % both, "bogus"), ("nodes=" + keyed.address, "needs a key"),
                             ("nodes=%s,key=%s" % (both, l.path("none")), "No such file"),
                             ("nodes=1.2.3", "not an address"), ("ro", "no memory nodes")):
        said = l.run(*TYPE, "-o", options, "none", path, status=None)
        status = l.processes[-1].popen.returncode
        expect(status, "-o %s succeeded", options)
        expect(pattern in said, "-o %s: it said: %s", options, said)
        nothing_left(path)

    # interrupted while it waits for a node
    process = l.start("mount", *TYPE, "-o", "nodes=127.0.0.1:1", "none", path)
    process.says("not reachable")
    for pid in serving(path):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it went with the one before
    expect(process.wait(10), "mount succeeded")
    nothing_left(path)


lab.main(test)
