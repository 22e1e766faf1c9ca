#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages, as tools/lib/debs.py has built them and lintian let them pass, in a root that is this system's
with a layer above: they install, a key is all that a memory node then needs, `mount -t fuse.gvmfs` mounts, a program
of one's own is built against the library; an upgrade and a removal leave what runs alone; nothing is left at the end.
The RPM spec has the same files."""

import fnmatch
import os
import re
import shutil
import stat
import subprocess
import sys

import lab
from lab import expect, features, wait_for
from startup import kill_whole, mounted, serving
import debs
import readme
from later import NEXT, repacked

NAMES = {"gvm", "gvm-memnode", "libgvm0", "libgvm-dev", "giantvm-dkms"}
PLACE = "/mnt/packages-%d" % os.getpid()  # processes are told by it: no other run's
RPMS = {"gvm": "", "gvm-memnode": " memnode", "libgvm0": " -n libgvm", "libgvm-dev": " -n libgvm-devel",
        "giantvm-dkms": " -n giantvm-dkms"}
DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("fuse", 10, 229))
CLIENT = r"""
#include <gvm_client.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct gvm_conn_opts opts = {0};
	struct gvm_call call;
	struct gvm_conn *conn;
	uint8_t *key;
	int err;

	memset(&call, 0, sizeof(call));
	if (argc != 3 || gvm_key_load(argv[2], &key, &opts.key_bytes))
		return 2;
	opts.key = key;
	if (gvm_conn_create(argv[1], &opts, &conn))
		return 3;
	call.req.deadline_ns = gvm_now_ns() + 20000000000ull;
	gvm_node_stat(conn, &call);
	err = gvm_conn_wait(conn, &call.req);
	gvm_conn_destroy(conn);
	printf("asked: %d\n", err);
	return err != 0;
}
"""
# Writes all pages of the region and finds what it wrote, again and again.
USER = """
import mmap, os, signal, sys
path, size = sys.argv[1], 8 << 20
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
with open(path, "w+b") as f:
    f.truncate(size)
    memory = mmap.mmap(f.fileno(), size)
turn = 0
while not over:
    turn += 1
    for at in range(0, size, 4096):
        memory[at:at + 8] = (turn << 32 | at).to_bytes(8, "little")
    memory.flush()
    for at in range(0, size, 4096):
        if memory[at:at + 8] != (turn << 32 | at).to_bytes(8, "little"):
            sys.exit("page at %d is wrong" % at)
    print("turn %d" % turn, flush=True)
"""


def built():
    """{name: path} of what is there, which a test does not build."""
    folder = os.path.join(os.path.dirname(lab.BUILD), "build-debian")
    found = {os.path.basename(path).partition("_")[0]: path for path in debs.packages(folder)}
    expect(set(found) == NAMES, "packages in %s: %s. tools/check --prepare system builds them", folder, sorted(found))
    with open(os.path.join(folder, "done")) as f:
        expect(f.read() == debs.digest(), "the packages are of other sources: tools/check --prepare system")
    return found


def content(path):
    """The files of a package, but for what is below doc."""
    said = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], check=True, stdout=subprocess.PIPE).stdout
    said = subprocess.run(["tar", "-t"], input=said, check=True, stdout=subprocess.PIPE).stdout.decode()
    return [line[1:] for line in said.splitlines() if not line.endswith("/") and "/share/doc/" not in line]


def spec_lists(l):
    """{what follows %files: its patterns} of the RPM spec, with Debian's folders in the place of its own."""
    spec = l.run("rpmspec", "-P", "-D", "_unitdir /UNITS", "-D", "_libdir /LIBRARIES", os.path.join(lab.SOURCE, "tools/rpm/gvm.spec"))
    found = {}
    for name, lines in re.findall(r"^%files(.*)\n((?:[/%].+\n|\n)*?)(?=%files|%changelog|\Z)", spec, re.M):
        found[name.rstrip()] = [re.sub(r"^%config\S*\s+", "", line) for line in lines.split("\n")
                                if line and not line.startswith(("%license", "%doc", "%dir"))]
    return found


def agree(l, packages):
    """What the packages and the spec hold; and the version that every part of the tree names."""
    lists = spec_lists(l)
    for name, path in packages.items():
        files = [re.sub(r"^(/usr)?/lib/systemd/system/", "/UNITS/", re.sub(r"^/usr/lib/[a-z0-9_-]+-linux-gnu/", "/LIBRARIES/", file))
                 for file in content(path)]
        patterns = [pattern + "*" if pattern.endswith("/") else pattern for pattern in lists[RPMS[name]]]
        for file in files:
            expect(any(fnmatch.fnmatch(file, pattern) for pattern in patterns), "%s of %s is in no list of the spec: %s",
                   file, name, patterns)
        for pattern in patterns:
            expect(any(fnmatch.fnmatch(file, pattern) for file in files), "the spec has %s for %s: %s", pattern, name, files)
    versions = {}
    for path, pattern in (("meson.build", r"^    version: '(.*)',"), ("debian/changelog", r"^gvm \((.*?)\)"),
                          ("kmod/dkms.conf", r'^PACKAGE_VERSION="(.*)"'), ("tools/rpm/gvm.spec", r"^Version:\s+(.*)"),
                          ("memnode/meson.build", r"^    version: '(.*)',"),
                          ("debian/giantvm-dkms.install", r"giantvm-kvm-(.*)$")):
        with open(os.path.join(lab.SOURCE, path)) as f:
            versions[path] = re.search(pattern, f.read(), re.M).group(1)
    expect(len(set(versions.values())) == 1, "versions: %s", versions)


class Root:
    """This system with a layer of its own."""

    def __init__(self, l):
        self.lab, self.path = l, l.path("root")
        layer = l.path("layer")
        for folder in (self.path, layer):
            os.mkdir(folder)
        l.run("mount", "-t", "tmpfs", "none", layer)
        for name in ("upper", "work"):
            os.mkdir(os.path.join(layer, name))
        l.run("mount", "-t", "overlay", "-o", "lowerdir=/,upperdir=%s/upper,workdir=%s/work" % (layer, layer), "none", self.path)
        # Nothing of the host's own is mounted below: whatever goes wrong, what removes the folder must not reach it.
        l.run("mount", "-t", "proc", "none", os.path.join(self.path, "proc"))
        l.run("mount", "-t", "sysfs", "-o", "ro", "none", os.path.join(self.path, "sys"))
        for name in ("run", "tmp", "dev"):
            l.run("mount", "-t", "tmpfs", "-o", "dev", "none", os.path.join(self.path, name))
        for name, *numbers in DEVICES:
            os.mknod(self.at("/dev/" + name), stat.S_IFCHR, os.makedev(*numbers))
            os.chmod(self.at("/dev/" + name), 0o666)
        os.symlink("/proc/self/fd", self.at("/dev/fd"))
        os.mkdir(self.at("/dev/shm"), 0o1777)
        os.makedirs(os.path.join(self.path, PLACE[1:]), exist_ok=True)
        l.run("rm", "-f", self.at("/var/lib/man-db/auto-update"))  # all manuals anew for each change of a package
        l.mounts.append(self)

    def at(self, path):
        return self.path + path

    def run(self, *command, **options):
        return self.lab.run(*self.command(*command), **options)

    def command(self, *words):
        """As run from outside, whose TMPDIR is not in there."""
        return ["chroot", self.path, "env", "-u", "TMPDIR", *words]

    def shell(self, text, **options):
        return self.run("bash", "-c", text, **options)

    def given(self, path):
        """The same file, as it is called in there."""
        name = "/tmp/" + os.path.basename(path)
        shutil.copy(path, self.at(name))
        return name

    def dpkg(self, *arguments):
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-unsafe-io", *arguments, seconds=120)

    def end(self):
        """Whether it ended by itself."""
        whole = not mounted(self.at(PLACE))
        if not whole:
            kill_whole(PLACE)
        for place in (self.path, self.lab.path("layer")):
            subprocess.run(["umount", "-l", "-R", place])
        return whole


def completes(root, *words):
    return root.shell('. /usr/share/bash-completion/completions/%s; COMP_WORDS=(%s); COMP_CWORD=%d; _gvm; echo "${COMPREPLY[*]}"'
                      % (words[0], " ".join(words), len(words) - 1)).split()


def installs(l, root, packages):
    root.dpkg("-i", *map(root.given, packages.values()))
    for link in ("gvm-memnode.service", "gvm-memnode.path"):
        expect(os.path.islink(root.at("/etc/systemd/system/multi-user.target.wants/" + link)), "%s is not enabled", link)
    expect(not os.path.exists(root.at("/etc/gvm/key")), "there is a key before anyone made one")
    if os.path.exists("/usr/bin/systemd-analyze"):
        said = root.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "gvm-memnode.service",
                        "gvm-memnode.path", "gvmfs@mnt-gvm.service")
        expect("gvm" not in said, "systemd-analyze: %s", said)
    expect(completes(root, "gvm", "no") == ["node"], "gvm no: %s", completes(root, "gvm", "no"))
    expect("--local" in completes(root, "gvm", "run", "--lo"), "gvm run --lo: %s", completes(root, "gvm", "run", "--lo"))
    expect("--cr3" in completes(root, "gvm", "inspect", "--cr"), "gvm inspect --cr")
    expect(completes(root, "gvm-memnode", "--mem") == ["--memory"], "gvm-memnode --mem")


def node_of(l, root):
    """As its service starts it, which needs the key and does nothing without it."""
    unit = root.run("sh", "-c", "cat /lib/systemd/system/gvm-memnode.service")
    expect("\nConditionPathExists=/etc/gvm/key\n" in unit, "%s", unit)
    readme.run([command for command in readme.read()[0] if command.section == "Packages"], [
        (r"dpkg-buildpackage .*|apt build-dep \.|sudo apt install \./gvm-memnode_\*\.deb", lambda *_: None),  # done
        (r"sudo (sh -c .*)", lambda command, text: root.shell(text))])
    options = re.search(r'^Environment="OPTIONS=(.*)"', unit, re.M).group(1).replace("%%", "%").split()
    program = re.search(r"^ExecStart=(\S+)", unit, re.M).group(1)
    node = l.start("node", *root.command(program, "--key", "/etc/gvm/key", *options), service=True)
    node.says("listening on 0.0.0.0:9999")
    return node


def goes_on(user):
    turns = user.log().count("turn")
    wait_for("the user goes on", lambda: user.log().count("turn") >= turns + 2, 60)


def test(l):
    packages = built()
    agree(l, packages)
    root = Root(l)
    installs(l, root, packages)
    l.log("installed")
    node = node_of(l, root)
    with open(root.at("/tmp/client.c"), "w") as f:
        f.write(CLIENT)
    said = root.shell("cd /tmp && cc -Wall -Werror -o client client.c $(pkg-config --cflags --libs libgvm) && "
                      "./client 127.0.0.1:9999 /etc/gvm/key")
    expect("asked: 0" in said, "%s", said)
    place = root.at(PLACE)
    root.run("mount", "-t", "fuse.gvmfs", "-o", "nodes=127.0.0.1:9999,key=/etc/gvm/key", "none", PLACE)
    user = l.start("user", sys.executable, "-c", USER, place + "/ram")
    user.says("turn 2", 60)
    l.log("in use")
    served = serving(PLACE)
    root.dpkg("-i", *(root.given(repacked(l, packages[name])) for name in ("gvm", "gvm-memnode")))
    expect(NEXT in root.run("dpkg-query", "-W", "gvm", "gvm-memnode"), "there is no later version")
    expect(serving(PLACE) == served and node.running(), "the upgrade has ended what ran: %s, %s", served, serving(PLACE))
    goes_on(user)
    if features.fuse_resend():
        worker = max(served)
        os.kill(worker, 9)
        wait_for("another worker", lambda: len(serving(PLACE)) >= 2 and worker not in serving(PLACE))
        goes_on(user)
    l.log("upgraded")
    root.dpkg("--remove", *sorted(NAMES))
    expect(not os.path.exists(root.at("/usr/bin/gvmfs")) and node.running(), "the removal did too little, or too much")
    goes_on(user)
    l.log("removed")
    user.signal(15)
    user.succeed(30)
    root.run("umount", PLACE)
    wait_for("gvmfs ends", lambda: not serving(PLACE))
    root.dpkg("--purge", *sorted(NAMES))
    l.log("purged")
    left = [path for name in packages for path in content(packages[name]) if os.path.lexists(root.at(path))]
    left += root.shell("find /etc/systemd /var/lib/systemd /var/lib/dkms -name '*gvm*' -o -name '*giantvm*' 2>/dev/null || :").split()
    expect(not left, "left behind: %s", left)
    expect(os.path.exists(root.at("/etc/gvm/key")), "the key is gone, which no package has made")


lab.main(test)
