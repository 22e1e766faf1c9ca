#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md shows for one host and the nodes that lend it memory, line by line and in its order: the
programs as `meson install` puts them into /usr/local, the addresses of the document on this test's own
loopback. The part on memory that several hosts share is run by readme-commands-work-on-hosts of suite
kernel, the one on packages by packages-install-upgrade-and-go."""

import os
import signal
import subprocess
import xml.etree.ElementTree

import lab
import leftovers
import readme
from lab import expect, main, wait_for

OTHERS = ("Memory that several hosts share", "Packages")  # the sections of the other tests
EXAMPLES = os.path.join(lab.SOURCE, "tools/libvirt")
GREETING = b"a guest that lies in other machines' memory"
# Copies itself all over the memory from 0x10000 to 0x90000, prints its greeting to the first serial port,
# and halts.
BOOT_SECTOR = bytes.fromhex(
    "31c08ed8"          # xor ax, ax; mov ds, ax
    "b80010"            # mov ax, 0x1000
    "8ec031ff"          # copy: mov es, ax; xor di, di
    "be007cb90001"      # mov si, 0x7c00; mov cx, 256
    "fcf3a5"            # cld; rep movsw
    "83c0203d0090"      # add ax, 0x20; cmp ax, 0x9000
    "72eb"              # jb copy
    "be367c"            # mov si, 0x7c36
    "bafd03ec2420"      # wait: mov dx, 0x3fd; in al, dx; and al, 0x20
    "74f8"              # jz wait
    "ac84c07406"        # lodsb; test al, al; jz halt
    "baf803eeebed"      # mov dx, 0x3f8; out dx, al; jmp wait
    "f4ebfd").ljust(0x36, b"\x90") + GREETING + b"\n\0"
QEMU = "-display none -serial stdio -net none -no-reboot"  # in the place of a user's own options


def install(l):
    """meson install -C build, into this test's own /usr/local."""
    own = l.path("local")
    os.mkdir(own)
    l.run("mount", "--bind", own, "/usr/local")
    l.run("meson", "install", "-C", lab.BUILD, "--no-rebuild", "--quiet")
    for place in ("bin/gvm", "bin/gvmfs", "sbin/gvm-memnode", "share/man/man1/gvm-run.1",
                  "lib/systemd/system/gvm-memnode.service", "lib/systemd/system/gvmfs@.service"):
        expect(os.path.exists(os.path.join("/usr/local", place)), "%s is not installed", place)


class Reader:
    """Does as the document says."""

    def __init__(self, l):
        self.lab, self.guest = l, None
        self.folder = l.path("host")
        os.mkdir(self.folder)
        with open(os.path.join(self.folder, "win10.qcow2"), "wb") as f:
            f.write(BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))

    def shell(self, text, **options):
        return self.lab.run("sh", "-c", "cd %s && %s" % (self.folder, text), **options)

    def begin(self, name, text, service=False):
        return self.lab.start(name, "sh", "-c", "cd %s && exec %s" % (self.folder, text),
                              service=service)

    def runs(self, command, *_):
        return self.shell(command.text)

    def installs(self, *_):
        install(self.lab)

    def helps(self, command, program):
        """Run by the test of the demonstration, and this being one of its tests."""
        expect(program in self.lab.run(os.path.join(lab.SOURCE, program), "--help"),
               "%s has no help", program)

    def node(self, command, address):
        """The second machine that lends is told the same with its own address."""
        for own in (address, "10.0.0.3:9999"):
            process = self.begin("node", command.text.replace(address, own), service=True)
            process.says("listening on " + own)

    def mount(self, command, *_):
        self.runs(command)
        expect(leftovers.mounts("/mnt/gvm"), "nothing is mounted")

    def mounts_at_boot(self, command, key, seal_key):
        """In the place of the mount that is there; the guest, as it was begun before, is on it then."""
        self.end_guest()
        self.unmount()
        fstab = self.lab.path("fstab")
        with open(fstab, "w") as f:
            f.write(command.text.replace(key, os.path.join(self.folder, "gvm.key"))
                    .replace(seal_key, os.path.join(self.folder, "seal.key")) + "\n")
        self.lab.run("mount", "--fstab", fstab, "/mnt/gvm")
        expect(leftovers.mounts("/mnt/gvm"), "nothing is mounted")
        self.boot(*self.begun)

    def boot(self, command, options):
        self.begun = command, options
        if self.guest:
            self.end_guest()
        self.guest = self.begin("guest", "%s %s" % (options, QEMU))
        self.guest.says(GREETING.decode(), 60)
        expect("not installed" not in self.guest.log(), "%s", self.guest.log())

    def end_guest(self):
        """As a user closes its window."""
        process = self.guest.pid
        for pid, name in {process: "", **lab.descendants(process)}.items():
            if name.startswith("qemu") or pid == process:
                os.kill(pid, signal.SIGTERM)
        self.guest.wait(60)
        self.guest = None

    def budget(self, command, path, size):
        self.runs(command)
        said = self.shell("gvm region local " + path)
        expect("%s MiB" % size[:-1] in said, "the budget is another than %s: %s", size, said)

    def follow(self, command, *_):
        process = self.begin("auto", command.text)
        process.says("win10: from [0-9]+ MiB on")
        process.signal(signal.SIGTERM)
        expect(process.wait(20) == -signal.SIGTERM, "status %s: %s", process.popen.returncode, process.log())

    def emulator(self, command, path):
        """libvirt asks it first. It is the example's, and so is the domain beside it."""
        with open(os.path.join(EXAMPLES, os.path.basename(path))) as f:
            expect(f.read().splitlines() == command.lines, "%s of the examples is another: %s", path, command.lines)
        with open(path, "w", opener=lambda *a: os.open(*a, mode=0o755)) as f:
            f.write("\n".join(command.lines) + "\n")
        expect("QEMU emulator" in self.shell(path + " -version"), "it does not answer")

    def strings(self, command, *_):
        # All of the lines may stand in the pipe before head(1) ends: then the whole file is read.
        said = self.shell(command.text, seconds=300)
        expect(GREETING.decode() in said, "the guest's line is not in its memory")

    def hexdump(self, command, *_):
        said = self.runs(command)
        expect(said.rstrip().splitlines()[-2].endswith("|..............U.|"),
               "there is no boot sector:\n%s", said)

    def inspect(self, command, *_):
        said = self.runs(command)
        shown = {"--phys": "U.|", "--find": GREETING.decode()[2:], "--census": "duplicate", "--diff": " pages changed"}
        expect(all(text in said for option, text in shown.items() if option in command.text), "it says %s", said)

    def stat(self, command, *_):
        expect("fetched" in self.runs(command), "no figures")

    def status(self, command, *_):
        expect("win10" in self.runs(command), "the region is not in it")

    def top(self, *_):
        expect("win10" in self.shell("gvm top --batch 1"), "the region is not in it")

    def map(self, command, *_):
        expect("win10: " in self.runs(command), "it draws another")

    def node_stat(self, command, *_):
        expect("win10" in self.runs(command) or "region" in self.runs(command), "no figures")

    def examine(self, command, *_):
        said = self.runs(command)
        expect("10.0.0.2:9999: round trip" in said, "it has not asked the node:\n%s", said)

    def end(self):
        if self.guest:
            self.end_guest()
        os.unlink("/mnt/gvm/win10")
        self.unmount()

    def unmount(self):
        self.lab.run("umount", "/mnt/gvm")
        wait_for("gvmfs ends", lambda: "gvmfs" not in lab.descendants().values())

    def table(self):
        return [
            (r"sudo (tools/(?:demo|check))", self.helps),
            (r"meson install -C build", self.installs),
            (r"meson setup build && ninja -C build", lambda *_: None),  # what is installed
            (r"head .* > gvm.key && chmod 600 gvm.key", self.runs),
            (r"gvm-memnode --listen (10\.0\.0\.2:9999) .*[^…]", self.node),
            (r"\(umask 077; openssl rand .* > seal.key\)", self.runs),
            (r"mkdir -p /mnt/gvm", self.runs),
            (r"gvmfs --nodes .* /mnt/gvm", self.mount),
            (r"none /mnt/gvm fuse\.gvmfs \S*,key=(/etc/gvm\.key),seal_key_file=(/etc/gvm-seal\.key),\S* 0 0",
             self.mounts_at_boot),
            (r"(gvm run .*qemu-system-x86_64 .*) …", self.boot),
            (r"(qemu-system-x86_64 .*) …", lambda command, options: self.boot(
                command, options + " -drive file=win10.qcow2")),
            (r"gvm region local (\S+) (\d+[MG]|all|\d+%)", self.budget),
            (r"gvm region settle /mnt/gvm/win10", lambda *_: None),  # by settled-guest-needs-no-gvmfs
            (r"gvm attach PID", lambda *_: None),  # by running-guest-is-attached
            (r"gvm region local --auto /mnt/gvm", self.follow),
            (r"truncate -s 8G /mnt/gvm/win10", self.truncate),
            (r"cat (/usr/local/bin/qemu-gvm)", self.emulator),
            (r"strings .* /mnt/gvm/win10 \| head", self.strings),
            (r"hexdump .* /mnt/gvm/win10", self.hexdump),
            (r"gvm inspect kernel --map .*|drgn -c .*", lambda *_: None),  # by debuggers-open-a-running-guest
            (r"gvm inspect --.* /mnt/gvm/win10.*", self.inspect),
            (r"gvm stat /mnt/gvm/win10", self.stat),
            (r"gvm status", self.status),
            (r"gvm top", self.top),
            (r"gvm map /mnt/gvm/win10", self.map),
            (r"gvm metrics --listen .* --page", lambda *_: None),  # by metrics-are-what-prometheus-takes
            (r"gvm node --key gvm.key 10.0.0.2:9999", self.node_stat),
            (r"gvm doctor --key gvm.key 10.0.0.2:9999", self.examine),
        ]

    def truncate(self, command, *_):
        """What the guest of gvm run had there before is no concern of the next."""
        self.end_guest()
        os.unlink("/mnt/gvm/win10")
        self.runs(command)


def test(l):
    commands, fenced = readme.read()
    for language, text in fenced:
        if language == "xml":
            xml.etree.ElementTree.fromstring("<domain>%s</domain>" % text)
            with open(os.path.join(EXAMPLES, "mapped.xml")) as f:
                example = [line.strip() for line in f]
            for line in text.splitlines():
                expect(line.partition("   <!--")[0].strip() in example, "not in the example: %s", line)
        else:
            expect(not language, "nothing here knows what to do with a block of %s", language)
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        l.run("ip", "address", "add", address + "/24", "dev", "lo")
    l.run("mount", "-t", "tmpfs", "none", "/mnt")
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:" + os.environ["PATH"]
    reader = Reader(l)
    try:
        readme.run([c for c in commands if c.section not in OTHERS], reader.table())
        reader.end()
    finally:
        leftovers.unmount_by_force("/mnt/gvm")
        for place in ("/mnt", "/usr/local"):
            subprocess.run(["umount", "-l", place])


main(test)
