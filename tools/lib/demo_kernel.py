# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration of the kernel mode: what tools/demo --kernel does between installing packages and
clearing up. Three virtual machines on this one are the hosts of a cluster; each loads the module."""

import argparse
import os
import re
import signal
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("GVM_BUILD", os.path.join(TOP, "build"))
sys.path.append(os.path.join(TOP, "tests/kernel"))

from cluster import Cluster, Failure, ROLES  # noqa: E402
from lab import Lab  # noqa: E402
from counters import numbers  # noqa: E402
from demo import Trouble, build, say, step  # noqa: E402

HOSTS = "bbm"  # letters of cluster.ROLES
HOST_MIB = 512
RAM_MIB = 96
KEPT_MIB, SHORT_KEPT_MIB = 16, 32  # on host 0, beside its share, which it is the home of
COUNTS, SHORT_COUNTS = 300, 50
PERCENT, SHORT_PERCENT = 40, 10  # of its memory that the guest fills
GUEST_SECONDS = 300
PASSING = re.compile(r"gvm-fill: round ")
QEMU = ("/usr/bin/qemu-system-x86_64 -machine q35,accel=kvm -cpu host -m %dM -nodefaults "
        "-display none -no-reboot -serial stdio -kernel /inner/vmlinux -initrd /inner/initramfs "
        "-append \"console=ttyS0 quiet panic=-1 nowatchdog job=fill percent=%%d\"" % RAM_MIB)


def indented(text):
    return "\n".join("    " + line for line in text.rstrip().splitlines())


class Demo:
    def __init__(self, folder, short):
        self.counts = SHORT_COUNTS if short else COUNTS
        self.kept = SHORT_KEPT_MIB if short else KEPT_MIB
        self.percent = SHORT_PERCENT if short else PERCENT
        os.environ["TMPDIR"] = folder
        self.lab, self.folder = Lab("demo"), folder

    def at(self, node, command, **options):
        """A command at a host's prompt, shown as one would type it."""
        say("    host%d# %s" % (node.id, command.split(" -kernel")[0]))
        said = node.run(command, **options)
        if said.strip():
            say(indented(said))
        return said

    def build(self):
        build(self.folder)

    def hosts(self):
        step("Three hosts: virtual machines of %d MiB, each with KVM, on a switch of their own"
             % HOST_MIB)
        self.cluster = Cluster(self.lab, len(HOSTS), memory="%dM" % HOST_MIB, roles=HOSTS,
                               inner=True, up=False)
        self.nodes = self.cluster.nodes
        say("    they are emulated in turn" if self.cluster.accel == "tcg" else "    with KVM")

    def up(self):
        step("Each loads the module and becomes a node")
        for number, role in enumerate(HOSTS):
            say("    %d 10.9.0.%d:9999 %s" % (number, number + 1, ROLES[role]))
        for node in self.nodes:
            node.run("insmod /lib/giantvm_kvm.ko")
            self.cluster.up(node, HOSTS, "the demo's own secret")
        self.at(self.nodes[0], "gvm dsm create counters 1M")
        self.at(self.nodes[1], "gvm dsm join counters")
        self.at(self.nodes[0], "gvm dsm status")

    def programs(self):
        step("A program on each of two hosts increments counters in the same pages")
        two = self.nodes[:2]
        start = time.monotonic()
        said = self.cluster.everywhere("share /dev/gvm/counters {id} 2 count %d" % self.counts,
                                       seconds=180, nodes=two)
        for node, text in zip(two, said):
            say("    host%d: %s" % (node.id, text.strip()))
        self.counted = time.monotonic() - start
        self.at(self.nodes[0], "gvm dsm status counters")

    def guest(self):
        step("A guest of %d MiB under unmodified QEMU and KVM, %d MiB of it on host 0"
             % (RAM_MIB, self.kept + RAM_MIB // len(HOSTS)))
        zero = self.nodes[0]
        self.at(zero, "echo %d > /sys/module/giantvm_kvm/parameters/cache_mb" % self.kept)
        command = "gvm run --region ram -- " + QEMU % self.percent
        self.at(zero, "gvm dsm create ram %dM" % RAM_MIB)
        say("    host0# %s" % command.split(" -kernel")[0])
        start = time.monotonic()
        zero.begin(command + " 2>&1")
        self.console = zero.answer(GUEST_SECONDS, None)
        self.seconds = time.monotonic() - start
        say(indented("\n".join(line for line in self.console.splitlines()
                               if line.startswith(("gvm", "guest:")) and not PASSING.match(line))))

    def banner(self):
        step("Another host reads the guest's banner out of the memory that they share")
        one = self.nodes[1]
        self.at(one, "gvm dsm join ram")
        said = self.at(one, "dd if=/dev/gvm/ram bs=1M skip=16 2>/dev/null | strings | "
                            "grep -m 1 '^Linux version'", seconds=120)
        self.found = said.strip()

    def figures(self, node):
        return numbers(node.run("cat /sys/kernel/debug/giantvm/ram/stats"))

    def table(self):
        step("What happened to the guest's memory")
        rows = [("", *("host %d" % node.id for node in self.nodes)),
                ("roles", *(ROLES[letter] for letter in HOSTS))]
        figures = [self.figures(node) for node in self.nodes]
        for label, name in (("pages here now", "resident_pages"), ("read faults", "read_faults"),
                            ("write faults", "write_faults"),
                            ("waited for another host", "remote_faults"),
                            ("sent home", "evicted_pages"), ("taken away", "revoked_pages"),
                            ("lost", "lost_pages")):
            rows.append((label, *("%d" % figure[name] for figure in figures)))
        rows.append(("us for each of these waits",
                     *("%d" % (f["remote_wait_ns"] / 1000 / f["remote_faults"])
                       if f["remote_faults"] else "-" for f in figures)))
        for row in rows:
            say("    %-28s" % row[0] + "".join("%12s" % value for value in row[1:]))
        verdict = re.search(r"^guest: verdict (.*)$", self.console, re.M)
        say("    %-28s%12s" % ("guest's verdict", verdict.group(1).strip() if verdict else "none"))
        say("    %-28s%10.0f s" % ("guest's time", self.seconds))
        return bool(verdict) and verdict.group(1).strip() == "pass" and bool(self.found)

    def end(self):
        step("Clearing up")
        self.at(self.nodes[1], "gvm dsm leave ram")
        self.cluster.close()

    def run(self):
        self.build()
        self.hosts()
        self.up()
        self.programs()
        self.guest()
        self.banner()
        good = self.table()
        self.end()
        return good


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("folder")
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    start = time.monotonic()
    demo = Demo(options.folder, options.short)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        good = demo.run()
    except (Failure, Trouble, OSError, LookupError, RuntimeError, ValueError) as why:
        say("\ntools/demo: %s" % why)
        return 1
    finally:
        demo.lab.close()
    say("\n%s, %.0f s in all" % ("All went well" if good else "THIS DID NOT GO WELL",
                                time.monotonic() - start))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
