#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirtd runs the two domains of tools/libvirt: one whose emulator is gvm run, on the fast path, and one whose RAM is a
mapped file, of a QEMU that is another user's. virsh defines, starts, resets, saves, restores and destroys them; what the
guest's memory holds is right all along, and no region, group or process stays behind. libvirtd has folders and a list of
mounts of its own. For tools/check --full."""

import glob
import os
import re
import resource
import shutil
import sys
import xml.etree.ElementTree as tree

import guest
import lab
from lab import expect, program, wait_for
from remote import Mount, Node
import image

RAM, BUDGET = 192, 64  # MiB
LIMIT = BUDGET + 256
CONF = """
security_driver = "none"
stdio_handler = "file"
memory_backing_dir = "%s"
user = "%s"
group = "%s"
remember_owner = 0
"""
DAEMON = """
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:stderr"
"""

# Runs a command and, as an init does, collects what it leaves behind: libvirtd waits until a QEMU that it has ended is gone.
INIT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
pid = os.fork()
if not pid:
    os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
while True:
    ended, status = os.wait()
    if ended == pid:
        sys.exit(os.waitstatus_to_exitcode(status))
"""


def folders(l):
    """/etc, /var and /run as they are, with a layer of this test's own."""
    layers = l.path("layers")
    os.mkdir(layers)
    l.run("mount", "-t", "tmpfs", "none", layers)
    for top in ("etc", "var"):
        upper, work = (os.path.join(layers, top + "-" + name) for name in ("upper", "work"))
        os.mkdir(upper)
        os.mkdir(work)
        l.run("mount", "-t", "overlay", "-o", "lowerdir=/%s,upperdir=%s,workdir=%s" % (top, upper, work), "none", "/" + top)
    l.run("mount", "-t", "tmpfs", "-o", "mode=755", "none", "/run")
    os.makedirs("/etc/libvirt/qemu", exist_ok=True)
    # As Debian's libvirt-daemon-system makes them.
    for path, line in (("passwd", "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin"), ("group", "kvm:x:64054:"),
                       ("group", "libvirt-qemu:x:64055:")):
        with open("/etc/" + path, "r+") as f:
            if "\n" + line.partition(":")[0] + ":" not in f.read():
                f.write(line + "\n")


class Partitions:
    """The groups that libvirtd makes for all of its guests' groups, and leaves: for the lab's end."""

    def __init__(self):
        self.before = self._all()

    @staticmethod
    def _all():
        return set(glob.glob("/sys/fs/cgroup/machine") + glob.glob("/sys/fs/cgroup/*/machine"))

    def remove(self):
        for path in self._all() - self.before:
            os.rmdir(path)


class Libvirt:
    """A libvirtd with one way to run its guests."""

    def __init__(self, l, backing, user, group):
        self.lab = l
        shutil.rmtree("/var/lib/libvirt/qemu", ignore_errors=True)
        with open("/etc/libvirt/qemu.conf", "w") as f:
            f.write(CONF % (backing, user, group))
        conf = l.path("libvirtd.conf")
        with open(conf, "w") as f:
            f.write(DAEMON)
        self.process = l.start("libvirtd", sys.executable, "-c", INIT, "libvirtd", "--config", conf, "--pid-file", l.path("libvirtd.pid"))
        wait_for("libvirtd answers", self._answers, 60)

    def _answers(self):
        expect(self.process.running(), "libvirtd ended:\n%s", self.process.log())
        return "Using library" in self.lab.run("virsh", "-q", "-c", "qemu:///system", "version", status=None)

    def virsh(self, *words, **options):
        return self.lab.run("virsh", "-q", "-c", "qemu:///system", *words, seconds=120, **options).strip()

    def end(self):
        self.process.signal(15)
        self.process.wait(30)


def may_lock(size):
    """Whether a process of root's can be given that limit, for which it has to be allowed to raise it."""
    pid = os.fork()
    if not pid:
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (size, size))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def domain(l, example, emulator, console):
    """The example, with a guest of the suite's in the place of its disk."""
    root = tree.parse(os.path.join(lab.SOURCE, "tools/libvirt", example)).getroot()
    vmlinux, initramfs = image.image("fill", lab.BUILD)
    for found, name in ((vmlinux, "kernel"), (initramfs, "initrd")):
        tree.SubElement(root.find("os"), name).text = found
    tree.SubElement(root.find("os"), "cmdline").text = (
        "console=ttyS0 quiet panic=-1 watchdog_thresh=60 tsc=unstable no_timer_check job=fill mib=%d rounds=1000" % (RAM // 2))
    root.set("type", "qemu")
    root.find("vcpu").text = "1"
    root.find("memory").text, root.find("memory").attrib["unit"] = str(RAM), "MiB"
    memtune = root.find("memtune")
    if memtune is not None:
        memtune.find("hard_limit").text = str(LIMIT)
        if not may_lock(LIMIT << 20):
            l.log("without its limit: libvirt lets QEMU lock as much, and root may not raise that here")
            root.remove(memtune)
    devices = root.find("devices")
    devices.find("emulator").text = emulator
    devices.remove(devices.find("disk"))
    devices.remove(devices.find("serial"))
    serial = tree.SubElement(devices, "serial", type="file")
    tree.SubElement(serial, "source", path=console, append="on")
    path = l.path(example)
    tree.ElementTree(root).write(path)
    return path


def emulator(l, mount):
    """The script of the example, with this test's programs, mount and budget."""
    with open(os.path.join(lab.SOURCE, "tools/libvirt/qemu-gvm")) as f:
        text = f.read()
    path = l.path("qemu-gvm")
    for old, new in (("gvm run", program("gvm") + " run"), ("--local 2G", "--local %dM" % BUDGET), ("/mnt/gvm", mount.path)):
        expect(text.count(old) == 1, "%s stands not once in %s", old, text)
        text = text.replace(old, new)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


class Console:
    """What the guest says, also after it was restored."""

    def __init__(self, l, name):
        self.path = l.path(name)

    def text(self):
        try:
            with open(self.path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def count(self, pattern):
        text = self.text()
        expect("BAD" not in text and "verdict FAIL" not in text, "the guest says %s", text)
        return len(re.findall(pattern, text))

    def says_more(self, what, pattern, times=1):
        """As often again as it has said so."""
        wanted = self.count(pattern) + times
        wait_for("%s: %s" % (what, pattern), lambda: self.count(pattern) >= wanted, 120)


def lives(l, libvirt, xml, console, regions):
    """A whole life of the domain; `regions` gives the names of those that there are."""
    up, round_done = r"guest: up after", r"gvm-fill: round \d+ "
    libvirt.virsh("define", xml)
    libvirt.virsh("start", "win10")
    wait_for("the guest is up", lambda: console.count(up), 120)
    console.says_more("it works", round_done, 2)
    expect(len(regions()) == 1, "regions: %s", regions())
    l.log("started: %s", regions())
    yield "started"
    libvirt.virsh("reset", "win10")
    console.says_more("it was reset", up)
    console.says_more("it works", round_done, 2)
    l.log("reset")
    saved = l.path("saved")
    libvirt.virsh("save", "win10", saved)
    expect(libvirt.virsh("domstate", "win10") == "shut off", "it runs on")
    wait_for("its region is gone: %s" % regions(), lambda: not regions())
    ups = console.count(up)
    l.log("saved: %d MiB", os.stat(saved).st_size >> 20)
    libvirt.virsh("restore", saved)
    console.says_more("it works", round_done, 3)
    expect(console.count(up) == ups, "it has begun anew")
    l.log("restored")
    yield "restored"
    libvirt.virsh("destroy", "win10")
    expect(libvirt.virsh("domstate", "win10") == "shut off", "it runs on")
    wait_for("its region is gone: %s" % regions(), lambda: not regions())
    libvirt.virsh("undefine", "win10")
    l.log("destroyed")


def on_the_fast_path(l, mount):
    console = Console(l, "console-fast")
    libvirt = Libvirt(l, mount.path, "root", "root")
    script = emulator(l, mount)
    expect("<domain>" in libvirt.virsh("domcapabilities", "--emulatorbin", script, "--virttype", "qemu"), "it has no abilities")
    for _ in lives(l, libvirt, domain(l, "gvm-run.xml", script, console.path), console,
                   lambda: [name for name in os.listdir(mount.path) if name != "libvirt"]):
        stats = mount.stats("win10")
        expect(stats["fast"] and stats["local_bytes"] == BUDGET << 20, "not on the fast path: %s", stats)
        expect(stats["evictions"], "nothing has left this host: %s", stats)
    libvirt.end()


def as_a_mapped_file(l, mount):
    console = Console(l, "console-mapped")
    libvirt = Libvirt(l, mount.path, "libvirt-qemu", "libvirt-qemu")
    names = lambda: [os.path.join(at, name) for at, _, found in os.walk(mount.path) for name in found]  # noqa: E731
    for _ in lives(l, libvirt, domain(l, "mapped.xml", shutil.which("qemu-system-x86_64"), console.path), console, names):
        path, = names()
        stats = mount.stats(os.path.relpath(path, mount.path))
        expect(stats["size_bytes"] == RAM << 20 and not stats["fast"], "%s", stats)
    libvirt.end()


def test(l):
    guest.command("fill", "64M")  # which says so where its image is not prepared
    os.chmod(l.folder, 0o711)  # the mount is in there, and QEMU another user's
    folders(l)
    l.cgroups.append(Partitions())
    mount = Mount(l, [Node(l, "768M")], "--allow-other")
    on_the_fast_path(l, mount)
    as_a_mapped_file(l, mount)


lab.main(test)
