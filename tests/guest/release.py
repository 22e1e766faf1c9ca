#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Releases of Debian as guests: a fresh system with systemd on a disk, and our packages as that release builds them.

    tests/guest/release.py RELEASE

prints the folder of both, making what the cache lacks: `disk` (ext4, the whole disk), `vmlinuz`, `initrd`, and the
packages. The system has what the packages depend on, and QEMU, so that nothing has to be fetched inside; of the packages
themselves it knows nothing. At the end of its boot it runs /dev/vdb's script `run`, if there is one, with the console as
its output, and switches off.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "tools/lib")]

import debian  # noqa: E402
import debs  # noqa: E402

SYSTEM = ["systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "python3", "man-db", "fuse3", "qemu-system-x86",
          "linux-image-cloud-amd64"]
RUN = ["libc6", "libncursesw6", "liblz4-1", "libseccomp2", "libjson-c5", "libxxhash0", "liburing2"]
BUILD = ["build-essential", "debhelper", "dh-dkms", "dpkg-dev", "meson", "ninja-build", "pkg-config", "libfuse3-dev", "libjson-c-dev",
         "liblz4-dev", "libncurses-dev", "libseccomp-dev", "libssl-dev", "liburing-dev", "libxxhash-dev"]
RELEASES = {"bookworm": ["libssl3", "libfuse3-3"], "trixie": ["libssl3t64", "libfuse3-4"]}
DISK_BYTES = 3 << 30  # of which hardly more than the system is ever allocated
UNIT = """[Unit]
Description=What a test wants done
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c 'mkdir -p /given && mount -o ro /dev/vdb /given && sh /given/run; echo "guest: status $?"'
ExecStopPost=systemctl poweroff --force
"""
KEPT = 2  # of each kind


def _run(what, *command, **options):
    done = subprocess.run(["nice", *command], stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "LC_ALL": "C.UTF-8"}, **options)
    if done.returncode:
        raise RuntimeError("%s: %s" % (what, "\n".join(done.stdout.splitlines()[-40:])))
    return done.stdout


def _bootstrap(release, variant, packages, to):
    """A root as a tar file: apt's own resolver, in a root of its own."""
    debian.again(lambda: _run("the root of %s cannot be made" % release, "mmdebstrap", "--mode=root", "--variant=" + variant,
                              "--include=" + ",".join(packages), "--aptopt=APT::Install-Recommends false", release, to),
                 RuntimeError)


def _place(kind, release, *parts):
    """The cache's folder for what these make, and whether it is whole."""
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    place = os.path.join(debian.cache_root(), "%s-%s-%s" % (kind, release, key))
    return place, os.path.exists(os.path.join(place, "done"))


def _made(kind, release, parts, make):
    place, there = _place(kind, release, *parts)
    if there:
        os.utime(place)
        return place
    debian.fetches("Debian's release %s" % release)
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    make(place)
    with open(os.path.join(place, "done"), "w"):
        pass
    for old in sorted(glob.glob(os.path.join(debian.cache_root(), "%s-%s-*" % (kind, release))), key=os.path.getmtime)[:-KEPT]:
        shutil.rmtree(old)
    return place


def system(release):
    """The folder with disk, vmlinuz and initrd."""
    packages = SYSTEM + RUN + RELEASES[release]

    def make(place):
        with tempfile.TemporaryDirectory(prefix=".root-", dir=debian.cache_root()) as root:
            tar = os.path.join(place, "root.tar")
            _bootstrap(release, "minbase", packages, tar)
            _run("tar", "tar", "-C", root, "--exclude=./dev/*", "-xpf", tar)
            os.unlink(tar)
            for kind in ("vmlinuz", "initrd.img"):
                path, = glob.glob(os.path.join(root, "boot", kind + "-*"))
                shutil.copy(path, os.path.join(place, kind.partition(".")[0]))
            units = os.path.join(root, "etc/systemd/system")
            with open(os.path.join(units, "wanted-by-a-test.service"), "w") as f:
                f.write(UNIT)
            os.makedirs(os.path.join(units, "default.target.wants"), exist_ok=True)
            os.symlink("../wanted-by-a-test.service", os.path.join(units, "default.target.wants/wanted-by-a-test.service"))
            with open(os.path.join(root, "etc/hostname"), "w") as f:
                f.write(release + "\n")
            disk = os.path.join(place, "disk")
            with open(disk, "wb") as f:
                f.truncate(DISK_BYTES)
            _run("mke2fs", "mke2fs", "-q", "-t", "ext4", "-d", root, disk)

    return _made("system", release, [packages, UNIT, DISK_BYTES], make)


def _build_root(release):
    def make(place):
        _bootstrap(release, "buildd", BUILD, os.path.join(place, "root.tar"))

    return os.path.join(_made("build", release, [BUILD], make), "root.tar")


def fetched(release):
    """All that has to be."""
    system(release)
    if release != debian.release():
        _build_root(release)


def packages(release):
    """The folder with the packages of the checkout's sources, built in a root of that release, without a network; where this
    machine has that release they are those that all tests use."""
    if release == debian.release():
        folder = os.path.join(TOP, "build-debian")
        if not debian.in_test():
            debs.build(folder)
        return folder

    def make(place):
        with tempfile.TemporaryDirectory(prefix=".build-", dir=debian.cache_root()) as root:
            _run("tar", "tar", "-C", root, "--exclude=./dev/*", "-xpf", _build_root(release))
            debs.copied(os.path.join(root, "build/gvm"))
            _run("the packages cannot be built on " + release, "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child",
                 "--mount-proc=" + os.path.join(root, "proc"), "sh", "-c",
                 'mount -t tmpfs none "$1/dev" && for name in null zero full random urandom; do '
                 'touch "$1/dev/$name" && mount --bind "/dev/$name" "$1/dev/$name" || exit; done; ln -s /proc/self/fd "$1/dev/fd"; '
                 'exec chroot "$1" sh -c "cd /build/gvm && exec dpkg-buildpackage --no-sign --build=binary --jobs=2"', "sh", root)
            for path in glob.glob(os.path.join(root, "build/*.deb")):
                if "-dbgsym_" not in path:
                    shutil.move(path, place)

    return _made("packages", release, [debs.digest(), BUILD], make)


def find(release):
    """{what: path} of the system's files, and the packages' paths; inside a test only what was prepared before it."""
    place = system(release)
    return {name: os.path.join(place, name) for name in ("disk", "vmlinuz", "initrd")}, sorted(
        path for path in glob.glob(os.path.join(packages(release), "*.deb")) if "-dbgsym_" not in path)


if __name__ == "__main__":
    try:
        print(system(sys.argv[1]), packages(sys.argv[1]))
    except (RuntimeError, OSError) as why:
        sys.exit(str(why))
