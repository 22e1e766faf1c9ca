#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""With one of two nodes away (it does not answer, or is cut off) every call about names
and attributes ends: a listing and df with what is known, what would change something with an error
and without a trace. (A region that could not be made smaller has all that was written to it.) Nothing has to be
killed, and all of it works once the node is back."""

import errno
import os
import subprocess
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node, forget

MIB = 1 << 20
FILES = 200
HANGS = 20  # seconds: no call takes a quarter of that, on a busy machine either


def call(l, *command):
    """Its status; what does not end is a failure."""
    began = time.monotonic()
    process = l.start(os.path.basename(command[0]), *command)
    try:
        process.popen.wait(lab.patience(HANGS))
    except subprocess.TimeoutExpired:
        raise lab.Failure("hangs: " + " ".join(command)) from None
    took = time.monotonic() - began
    l.log("%.2f s, status %s: %s", took, process.popen.returncode, " ".join(command))
    return process.popen.returncode, took, process.log()


def refused(l, *command):
    status, _, said = call(l, *command)
    expect(status and "timed out" in said, "%s: status %s, %s", " ".join(command), status, said)


def looks_seconds(l, mount):
    took = 0
    for command in (["ls", "-l"], ["df"], ["ls", "-l"], ["stat", "-f"], ["du", "-s"]):
        status, seconds, said = call(l, *command, mount.path)
        expect(status == 0, "%s: %s", command, said)
        took += seconds
    return took


def calls(l, mount, far, round_):
    """What has to end while a node is away."""
    names = sorted(os.listdir(mount.path))
    took = lab.best(lambda: looks_seconds(l, mount), lambda took: took < HANGS)
    expect(took < HANGS, "listing %d files and the like took %.1f s", FILES, took)
    new = mount.file("new-%s" % round_)
    refused(l, "touch", new)
    refused(l, "mkdir", new)
    refused(l, "mv", mount.file("empty-0"), new)
    refused(l, "rm", mount.file("empty-1"))
    refused(l, "rmdir", mount.file("folder"))
    refused(l, "chmod", "600", mount.file("empty-2"))
    refused(l, "truncate", "-s", "16M", mount.file("region"))
    refused(l, "touch", mount.file("region"))
    status, _, said = call(l, lab.program("gvm"), "stat", mount.path, mount.file("region"))
    expect(status == 0 and "held by the nodes" in said, "gvm stat: %s", said)
    call(l, lab.program("gvm"), "region", "local", mount.file("region"), "50%")
    status, _, said = call(l, lab.program("gvm"), "node", far.address)
    expect(status == 1 and "no answer within" in said, "gvm node: %s", said)
    mount.says("too few nodes answer")
    expect(sorted(os.listdir(mount.path)) == names, "names have changed")
    expect(os.stat(mount.file("empty-2")).st_mode & 0o777 == 0o644, "the mode has changed")


def works(l, mount, round_):
    """Nothing is left of what failed, and everything can be done now."""
    def names_are_written():
        return subprocess.run(["touch", mount.file("empty-0")], capture_output=True).returncode == 0
    wait_for("names can be changed again", names_are_written, 30, 0.3)
    time.sleep(1.1)  # for names that the nodes were asked for before
    names = os.listdir(mount.path)
    expect(not [name for name in names if name.startswith("new-")], "left over: %s", names)
    new = mount.file("new-%s" % round_)
    os.mkdir(new)
    os.rename(new, new + "-b")
    os.rmdir(new + "-b")
    with open(new, "xb"):
        pass
    os.unlink(new)
    os.truncate(mount.file("region"), 16 * MIB)
    os.truncate(mount.file("region"), 8 * MIB)
    l.check(mount.file("region"), 0, 4 * MIB, 1)


def shrinks_not(mount, far):
    path, size, cut = mount.region("shrinking", MIB), MIB, 3 * 131072 - 8192  # in the middle of a chunk
    fd = os.open(path, os.O_RDWR)
    content = bytearray(b"o" * size)
    os.pwrite(fd, content, 0)
    os.fsync(fd)
    far.stop()
    for at in range(MIB // 2, size, 131072):
        content[at:at + 4096] = b"n" * 4096
        os.pwrite(fd, content[at:at + 4096], at)
    try:
        os.ftruncate(fd, cut)
        raise lab.Failure("a region is made smaller while one of its nodes is away")
    except OSError as e:
        expect(e.errno == errno.ETIMEDOUT, "a region cannot be made smaller: %s", e)
    far.go_on()
    os.fsync(fd)
    forget(path)
    found = os.pread(fd, size, 0)
    expect(found == content, "it was not made smaller, and is another from byte %d on",
           next((at for at in range(len(found)) if found[at] != content[at]), len(found)))
    os.ftruncate(fd, cut)
    os.ftruncate(fd, size)
    forget(path)
    expect(os.pread(fd, size, 0) == content[:cut] + bytes(size - cut), "what was cut off is not zeros")
    os.close(fd)


def test(l):
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount = Mount(l, [near, far])
    os.mkdir(mount.file("folder"))
    for n in range(FILES):
        with open(mount.file("empty-%d" % n), "xb") as f:
            if n >= FILES // 2:
                f.truncate(4096)
    mount.region("region", 8 * MIB)
    l.write(mount.file("region"), 0, 4 * MIB, 1)
    shrinks_not(mount, far)

    far.stop()
    calls(l, mount, far, "stopped")
    far.go_on()
    works(l, mount, "stopped")

    l.network.cut(far.port)
    call(l, "ls", "-l", mount.path)
    call(l, "df", mount.path)
    refused(l, "touch", mount.file("new-cut"))
    refused(l, "rm", mount.file("empty-1"))
    l.network.heal()
    works(l, mount, "cut")


lab.main(test)
