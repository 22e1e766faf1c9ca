#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A credential as systemd lays it out (root's, mode 0440 by an access control list, for a user that the
service alone has) is a key for the node, gvmfs and gvm; elsewhere the same mode is refused and named."""

import os
import struct
import subprocess

import lab
from lab import expect, program
import leftovers

USER = 61234
TAGS = {"owner": 1, "user": 2, "group": 4, "mask": 16, "other": 32}
NOBODY_IN_PARTICULAR = 0xffffffff


def acl(path, mode):
    """The owner's rights are also those of one more user; the group's bits show the mask."""
    entries = (("owner", mode, NOBODY_IN_PARTICULAR), ("user", mode, USER),
               ("group", 0, NOBODY_IN_PARTICULAR), ("mask", mode, NOBODY_IN_PARTICULAR),
               ("other", 0, NOBODY_IN_PARTICULAR))
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", TAGS[tag], rights, who) for tag, rights, who in entries))


def test(l):
    os.chmod(l.folder, 0o755)
    credentials = l.path("credentials")
    os.mkdir(credentials)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "none", credentials], check=True)
    key = os.path.join(credentials, "key")
    with open(key, "w") as f:
        f.write("0123456789abcdef")
    acl(key, 4)
    acl(credentials, 5)
    expect(os.stat(key).st_mode & 0o7777 == 0o440, "mode %o", os.stat(key).st_mode)
    service = ["env", "CREDENTIALS_DIRECTORY=" + credentials]
    as_user = service + ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    node = l.start("node", *as_user, program("gvm-memnode"), "--memory", "64M", "--key", key,
                   "--listen", "127.0.0.1:0", service=True)
    address = "127.0.0.1:" + node.says(r"listening on 127\.0\.0\.1:(\d+)").group(1)
    for before in (service, as_user):
        expect("regions" in l.run(*before, program("gvm"), "node", "--key", key, address),
               "gvm node was not answered")
    mount = l.path("mount")
    os.mkdir(mount)
    # Not by its absolute path, and from the background.
    l.run(*service, "sh", "-c", 'cd "%s" && exec "$0" "$@"' % credentials, program("gvmfs"),
          "--nodes", address, "--key", "key", mount)
    try:
        with open(mount + "/file", "w") as f:
            f.write("something")
    finally:
        subprocess.run(["umount", mount])
    lab.wait_for("the mount is gone", lambda: mount not in leftovers.mounts(mount))
    for command in (("gvm-memnode", "--memory", "64M"), ("gvm", "node", address),
                    ("gvmfs", "--nodes", address, mount)):
        words = [program(command[0]), *command[1:]]
        words[2:2] = ["--key", key] if command[0] == "gvm" else []
        words += [] if command[0] == "gvm" else ["--key", key]
        said = l.run(*words, status=None)
        expect("mode is 0440" in said, "%s said: %s", command[0], said)
    os.chmod(key, 0o444)
    said = l.run(*service, program("gvm"), "node", "--key", key, address, status=None)
    expect("mode is 0444" in said, "gvm said: %s", said)
    subprocess.run(["umount", "-l", credentials])


lab.main(test)
