#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""In a fresh Debian 12 and a fresh Debian 13, each a guest with systemd and our packages as that release builds them: apt
installs them, a key is all that the node's service then waits for, gvmfs's unit mounts, a guest runs in a region on the fast path
and goes on while the packages are upgraded; the units start again with the later ones; and nothing of them is left after the
purge. For tools/check --full."""

import os
import re
import shutil
import sys

import bare
import lab
from lab import expect
import release
from later import repacked

RAM = "1G"
# Run as root at the end of the boot, from the second disk.
SCRIPT = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive SYSTEMD_COLORS=0
rm -f /var/lib/man-db/auto-update # all manuals anew for each change of a package
cd /given
step() { echo "guest: step $*"; }
not() { if "$@" >/tmp/not 2>&1; then echo "should fail: $*"; cat /tmp/not; exit 1; fi; }
until_() { i=0; until "$@" >/tmp/until 2>&1; do i=$((i + 1)); [ $i -lt 1200 ] || { echo "in vain: $*"; cat /tmp/until; exit 1; }; sleep 0.5; done; }
apt_() { apt-get -q -y -o Dpkg::Use-Pty=0 "$@" >/tmp/apt 2>&1 || { cat /tmp/apt; exit 1; }; }
trap 'status=$?; [ $status -eq 0 ] || { journalctl --no-pager -n 60 -u "gvm*" || :; tail -n 40 /tmp/run || :; }' EXIT

find / -xdev '(' -iname '*gvm*' -o -iname '*giantvm*' ')' -not -path '/proc/*' | grep -v '^/given' >/tmp/before || :
apt_ install --no-install-recommends ./gvm_*.deb ./gvm-memnode_*.deb ./libgvm0_*.deb
step installed "$(gvm --version)"
systemctl is-enabled gvm-memnode.service gvm-memnode.path
not systemctl is-active gvm-memnode.service
(umask 077; mkdir -p /etc/gvm; head -c 32 /dev/urandom | base64 >/etc/gvm/key)
until_ systemctl is-active gvm-memnode.service
until_ gvm node --key /etc/gvm/key 127.0.0.1:9999
step a node runs as "$(ps -o user= -C gvm-memnode)"
echo 'OPTIONS="--nodes 127.0.0.1:9999 --no-seal"' >/etc/default/gvmfs
systemctl start gvmfs@mnt-gvm
until_ mountpoint -q /mnt/gvm
gvm doctor >/tmp/doctor || :
grep -q userfaultfd /tmp/doctor
step mounted

nice -n 19 gvm run --local 16M --region guest -- qemu-system-x86_64 -accel tcg -m 64M -nodefaults -display none -bios /given/bare.rom >/tmp/run 2>&1 &
run=$!
cat >/tmp/ticks.py <<'END'
import os, struct, sys, time
fd = os.open("/mnt/gvm/guest", os.O_RDONLY)
def ticks():
    return struct.unpack("<Q", os.pread(fd, 8, int(sys.argv[1])))[0]
end, before = time.time() + 300, ticks()
while ticks() <= before:
    if time.time() > end:
        sys.exit("the guest stands still at %d" % before)
    time.sleep(0.1)
END
goes_on() { kill -0 $run && python3 /tmp/ticks.py TICKS_AT && python3 /tmp/ticks.py TICKS_AT; }
until_ grep 'uffd, with' /tmp/run
goes_on
step a guest runs

serving() { pidof gvmfs gvm-memnode; }
before=$(serving)
apt_ install --no-install-recommends ./next/gvm_*.deb ./next/gvm-memnode_*.deb ./next/libgvm0_*.deb
dpkg-query -W gvm gvm-memnode libgvm0 | grep -c -F '+next' | grep -qx 3
[ "$(serving)" = "$before" ]
goes_on
step upgraded
kill $run
wait $run || :
systemctl restart gvm-memnode.service gvmfs@mnt-gvm || :
until_ mountpoint -q /mnt/gvm
step restarted

systemctl stop gvmfs@mnt-gvm
not mountpoint -q /mnt/gvm
apt_ remove gvm gvm-memnode libgvm0
not pidof gvmfs gvm-memnode
[ -s /etc/gvm/key ]
dpkg --purge gvm gvm-memnode libgvm0 >/tmp/apt 2>&1 || { cat /tmp/apt; exit 1; } # of libgvm0 apt knows nothing any more
step purged
rm -f /etc/gvm/key /etc/default/gvmfs
rmdir /etc/gvm /mnt/gvm
systemctl daemon-reload
not sh -c "systemctl list-units --all --plain --no-legend 'gvm*' | grep ."
find / -xdev '(' -iname '*gvm*' -o -iname '*giantvm*' ')' -not -path '/proc/*' | grep -v '^/given' >/tmp/after || :
diff /tmp/before /tmp/after
step nothing is left
"""


def disk(l, name, packages):
    """With the packages, later ones of the same content, and what is to be done."""
    tree = l.path(name)
    os.makedirs(os.path.join(tree, "next"))
    for path in packages:
        if os.path.basename(path).startswith(("gvm_", "gvm-memnode_", "libgvm0_")):
            shutil.copy(path, tree)
            repacked(l, path, os.path.join(tree, "next"))
    shutil.copy(os.path.join(lab.BUILD, "tests/system/bare.rom"), tree)
    with open(os.path.join(tree, "run"), "w") as f:
        f.write(SCRIPT.replace("TICKS_AT", str(bare.COUNTS + bare.TICKS)))
    image = l.path(name + ".disk")
    with open(image, "wb") as f:
        f.truncate(64 << 20)
    l.run("mke2fs", "-q", "-t", "ext4", "-d", tree, image)
    return image


def begin(l, name):
    system, packages = release.find(name)
    expect(packages, "there are no packages for %s", name)
    own = l.path(name + ".qcow2")
    l.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", system["disk"], own)
    return l.start(name, "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", RAM,
                   "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                   "-drive", "if=virtio,file=" + own, "-drive", "if=virtio,format=raw,readonly=on,file=" + disk(l, name, packages),
                   "-kernel", system["vmlinuz"], "-initrd", system["initrd"], "-append",
                   "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 loglevel=3 watchdog_thresh=60")


def test(l):
    guests = [begin(l, name) for name in sys.argv[1:] or release.RELEASES]
    for guest in guests:
        guest.says(r"^guest: status 0", 1800)
        guest.wait(120)
        l.log("%s:\n  %s", guest.name, "\n  ".join(re.findall(r"^guest: step (.*?)\r?$", guest.log(), re.M)))


lab.main(test)
