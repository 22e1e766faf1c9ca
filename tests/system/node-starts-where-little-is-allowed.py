#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A memory node starts, serves and ends where the kernel, a container or a service manager allows it
little, and says in one line what it does without; where it is allowed all, it says nothing of that."""

import errno
import os
import re
import shutil
import signal

import lab
from lab import expect, program

URING = ("io_uring_setup", "io_uring_enter", "io_uring_register")
# Copies of the programs, where any user may run them, in none of the folders that cases take away.
PLACE = "/var/lib/gvm-test-%d" % os.getpid()
CONFINED = [os.path.join(PLACE, "confined")]
NODE = os.path.join(PLACE, "gvm-memnode")


def refused(how, *calls):
    return CONFINED + ["%s:%s" % (call, how) for call in calls] + ["--"]


def shell(script):
    return ["sh", "-c", script + ' && exec "$0" "$@"']


def read_only(*folders):
    return ["unshare", "--mount"] + shell(" && ".join(
        "mount -t tmpfs -o ro none " + folder for folder in folders))


# What stands before the command, what it says that it does without ("": nothing, None: anything)
CASES = {
    "all is allowed": ([], ""),
    "Docker: no io_uring (ENOSYS)": (refused(errno.ENOSYS, *URING), "io_uring (Function not implemented)"),
    "kernel.io_uring_disabled": (refused(errno.EPERM, URING[0]), "io_uring (Operation not permitted)"),
    "a ring that may not be entered": (refused(errno.EPERM, URING[1]), "io_uring"),
    "a filter that kills": (refused("kill", "chroot"), "an empty root directory"),
    "no filters of its own": (refused(errno.EPERM, "seccomp"), "a filter of system calls"),
    "systemd's @system-service": (refused("kill", "chroot", "landlock_create_ruleset", "seccomp"),
                                  "a filter of system calls"),
    "no Landlock": (refused(errno.ENOSYS, "landlock_create_ruleset"), ""),
    "neither chroot nor Landlock": (refused(errno.EPERM, "landlock_create_ruleset", "chroot"), "Landlock"),
    "no CAP_SYS_CHROOT": (["setpriv", "--bounding-set", "-sys_chroot"], "an empty root directory"),
    "root without capabilities": (["setpriv", "--bounding-set", "-all"], "a user of its own"),
    "a read-only /tmp": (read_only("/tmp"), ""),
    "nothing to write to": (read_only("/tmp", "/run", "/dev/shm", "/var/tmp"), "an empty root directory"),
    "a user namespace": (["unshare", "--user", "--map-root-user"], "a user of its own"),
    "no /proc": (["unshare", "--mount"] + shell("mount -t tmpfs none /proc"), ""),
    "no table of users": (["unshare", "--mount"] + shell("mount --bind /dev/null /etc/passwd"), ""),
    "an unprivileged user": (["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                              "--no-new-privs"], ""),
    "no memory to lock": (["prlimit", "--memlock=0:0", "setpriv", "--reuid", "65534",
                           "--clear-groups"], None),
    "Docker, a user of its own": (["setpriv", "--reuid", "65534", "--clear-groups"]
                                  + refused(errno.ENOSYS, *URING, "chroot"), "io_uring"),
    "few descriptors": (["prlimit", "--nofile=40:40"], None),
}


def answers(l, address):
    said = l.run(program("gvm"), "node", address, seconds=20)
    expect("bytes" in said, "gvm node said: %s", said)


def serves(l, name, before, lacks):
    node = l.start("node", *before, NODE, "--listen", "127.0.0.1:0", "--memory",
                   "64M", service=True)
    port = node.says(r"listening on 127\.0\.0\.1:(\d+)").group(1)
    answers(l, "127.0.0.1:" + port)
    found = re.findall(r"does without (.*)", node.log())
    if lacks is not None:
        expect(len(found) == bool(lacks), "%s: it does without %s", name, found)
    if lacks:
        expect(lacks in found[0], "%s: it does without %s", name, found[0])
    node.signal(signal.SIGTERM)
    expect(node.wait(10) == 0, "%s: ended with status %s", name, node.popen.returncode)


def closed_descriptors(l):
    """No socket becomes the log."""
    node = l.start("node", "sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', program("gvm-memnode"),
                   "--memory", "64M", service=True)
    lab.wait_for("it listens", lambda: l.start(
        "gvm", program("gvm"), "node", "127.0.0.1:9999").wait(20) == 0)
    node.signal(signal.SIGUSR1)
    answers(l, "127.0.0.1:9999")
    node.signal(signal.SIGTERM)
    expect(node.wait(10) == 0, "without descriptors: status %s", node.popen.returncode)


def relative_key(l):
    """The key is read before the root directory is left."""
    os.mkdir(l.path("keys"))
    with open(l.path("keys/secret"), "w", opener=lambda *a: os.open(*a, mode=0o600)) as f:
        f.write("0123456789abcdef")
    node = l.start("node", "sh", "-c", 'cd "%s" && exec "$0" "$@"' % l.folder,
                   program("gvm-memnode"), "--memory", "64M", "--listen", "127.0.0.1:0",
                   "--key", "keys/secret", service=True)
    port = node.says(r"listening on 127\.0\.0\.1:(\d+)").group(1)
    l.run(program("gvm"), "node", "--key", l.path("keys/secret"), "127.0.0.1:" + port)


def test(l):
    os.chmod(l.folder, 0o755)
    os.mkdir(PLACE, 0o755)
    try:
        for name in ("confined", "gvm-memnode"):
            shutil.copy(program(name), PLACE)
        for name, (before, lacks) in CASES.items():
            l.log("%s", name)
            serves(l, name, before, lacks)
    finally:
        shutil.rmtree(PLACE)
    closed_descriptors(l)
    relative_key(l)
    # A user who was named is a promise.
    said = l.run("setpriv", "--bounding-set", "-all", program("gvm-memnode"), "--memory", "64M",
                 "--listen", "127.0.0.1:0", "--user", "nobody", status=1)
    expect("may not become another user" in said, "it said: %s", said)


lab.main(test)
