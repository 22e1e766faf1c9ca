# SPDX-License-Identifier: GPL-2.0-or-later
"""gvmfs as a service manager, a boot script or a hurried user starts it: what is mounted where, which
processes and sockets there are."""

import os
import shutil
import signal
import stat

from lab import Failure, program, wait_for
import leftovers

SOCKETS = "/run/gvmfs"
LISTENS = 0x10000  # __SO_ACCEPTCON among the flags in /proc/net/unix


def folder(lab, name):
    path = lab.path(name)
    os.mkdir(path)
    return path


def mounted(path):
    """How many filesystems lie on top of each other there."""
    return leftovers.mounts(path).count(path)


def command(nodes, path, *options):
    return [program("gvmfs"), "--nodes", ",".join(node if isinstance(node, str) else node.address
                                                  for node in nodes), *options, path]


USER = 65534


def as_user(lab, nodes, path, *options):
    """The command as a user without rights has it, who may not look into the folder of the build."""
    own = lab.path("gvmfs")
    if not os.path.exists(own):
        shutil.copy(program("gvmfs"), own)
        os.chmod(lab.folder, 0o755)
    return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", own,
            *command(nodes, path, *options)[1:]]


def open_device(lab):
    """/dev/fuse as it is on most machines: for everybody."""
    if stat.S_IMODE(os.stat("/dev/fuse").st_mode) & 0o006 == 0o006:
        return
    device = lab.path("fuse")
    os.mknod(device, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    os.chmod(device, 0o666)
    lab.run("mount", "--bind", device, "/dev/fuse")


def serving(path):
    """{pid: parent} of the processes that were started to mount there and live."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as f:
                words = f.read().split(b"\0")
            with open("/proc/%s/stat" % entry) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if path.encode() in words and b"gvmfs" in os.path.basename(words[0]) and fields[0] != "Z":
            found[int(entry)] = int(fields[1])
    return found


def kill_whole(path):
    """Supervisor and worker at once, as the kernel would for want of memory, or an administrator."""
    found = serving(path)
    # the supervisor first, since it would replace a worker
    for pid in sorted(found, key=lambda pid: found[pid] in found):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def sockets():
    """Names where a gvmfs of this test listens: the list is that of the test's own network."""
    with open("/proc/net/unix") as f:
        # bound under another name until it listens; a connection that a start here makes to a gvmfs
        # elsewhere, to see whether it lives, bears that one's name
        names = {line.split()[-1].removesuffix(".new") for line in f
                 if SOCKETS in line and int(line.split()[3], 16) & LISTENS}
    return {name for name in names if os.path.exists(name)}


def ended():
    """Daemons of this test that have ended, with what wait(2) would say of them."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % entry) as f:
                head, _, tail = f.read().rpartition(")")
        except OSError:
            continue
        fields = tail.split()
        if fields[0] == "Z" and int(fields[1]) == os.getpid():
            found.append("%s status %s" % (head.partition("(")[2], fields[-1]))
    return found


def nothing_left(path, names=()):
    """No mount, no process, and none of these names of sockets."""
    def left():
        return [serving(path), mounted(path), sorted(filter(os.path.exists, names))]

    try:
        wait_for("nothing is left", lambda: not any(left()), 10)
    except Failure:
        raise Failure("left at %s: processes %s, mounts %d, sockets %s; ended: %s" %
                      (path, *left(), ended())) from None


def holder(lab, path):
    """A process with an open file and its working directory in the mount."""
    process = lab.start("holder", "sh", "-c", "cd %s && exec 3<%s && echo held && exec sleep 300" %
                        (os.path.dirname(path), path))
    process.says("^held")
    return process
