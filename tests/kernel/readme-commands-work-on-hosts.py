#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md shows for memory that several hosts share, line by line and in its order, on three
hosts with the addresses of the document. The hosts are smaller than those of the reader: 8G there is
MEMORY here."""

from cluster import Cluster, Failure, expect, main  # first: it says where the others are
import readme

SECTION = "Memory that several hosts share"
MEMORY = "64M"
KEY = "head -c 32 /dev/urandom | base64 > gvm.key && chmod 600 gvm.key"  # the document's own line
# In the place of a user's own options: QEMU tells of its firmware's first steps, which a CPU has done.
QEMU = ("-display none -nodefaults -chardev file,id=said,path=/tmp/said "
        "-device isa-debugcon,iobase=0x402,chardev=said")


class Reader:
    """Does as the document says: on host 0, or on each where it says so."""

    def __init__(self, cluster):
        self.cluster, self.nodes, self.zero = cluster, cluster.nodes, cluster.nodes[0]

    def everywhere(self, command, *_):
        return self.cluster.everywhere(command.text)

    def configuration(self, command, path):
        expect(len(command.lines) == len(self.nodes), "%d nodes in %s", len(command.lines), command)
        for node in self.nodes:
            node.run("mkdir -p /etc/gvm")
            for line in command.lines:
                node.run("echo '%s' >> %s" % (line, path))
            node.run(command.text)

    def up(self, command, *_):
        for node in self.nodes:
            node.run(command.text.replace("--id 0", "--id %d" % node.id))

    def create(self, command, *_):
        self.zero.run(command.text.replace("8G", MEMORY))

    def join(self, command, *_):
        self.nodes[1].run(command.text)

    def status(self, command, *_):
        said = self.zero.run(command.text)
        expect("ram" in said and "10.0.0.3:9999" in said, "%s says:\n%s", command, said)

    def boot(self, command, options):
        """Its firmware runs, which another host can read, too; then it is told to end."""
        zero = self.zero
        zero.begin("(%s %s; echo $? > /tmp/ended) > /tmp/run.log 2>&1 &"
                   % (options.replace("8G", MEMORY), QEMU))
        zero.answer()
        try:
            zero.run("until grep -q SeaBIOS /tmp/said; do [ ! -e /tmp/ended ] || exit 1; sleep 0.2; done", seconds=120)
        except Failure as why:
            raise Failure("%s: %s" % (why, zero.run("cat /tmp/run.log"))) from None
        found = self.nodes[1].run("dd if=/dev/gvm/ram bs=64k count=16 2>/dev/null | strings | "
                                  "grep -c -i bios", seconds=120)
        expect(int(found) > 0, "another host sees nothing of the guest")
        zero.run("kill $(pidof qemu-system-x86_64)")
        zero.shell.until("[ -e /tmp/ended ]")

    def spread(self, command, printed):
        """It only prints what to run on which host."""
        said = self.zero.run(printed)
        expect("hosts=10.0.0.1:9998;10.0.0.2:9998" in said and said.count("mem-path=/dev/gvm/ram,share=on") == 2, "%s says:\n%s",
               command, said)

    def table(self):
        return [
            (r"cat (/etc/gvm/cluster\.conf)", self.configuration),
            (r"modprobe giantvm_kvm", self.everywhere),
            (r"gvm dsm up --conf /etc/gvm/cluster\.conf --id 0 --key gvm\.key", self.up),
            (r"gvm dsm create ram 8G", self.create),
            (r"gvm dsm join ram", self.join),
            (r"gvm dsm status", self.status),
            (r"(gvm run .* --cpus .*) …", self.spread),
            (r"(gvm run .*qemu-system-x86_64 .*) …", self.boot),
        ]


def prepare(cluster):
    """Hosts as the document takes them for granted: addresses, an installed module, one key."""
    for node in cluster.nodes:
        node.run("ip addr add 10.0.0.%d/24 dev eth0" % (node.id + 1))
        node.run("mkdir -p /lib/modules/$(uname -r) && ln -s /lib/giantvm_kvm.ko /lib/modules/$(uname -r)/ "
                 "&& depmod && ln -s /usr/bin/qemu-system-x86_64 /bin/")
    cluster.nodes[0].run(KEY)
    key = cluster.nodes[0].run("cat gvm.key").strip()
    for node in cluster.nodes[1:]:
        node.run("umask 077; echo %s > gvm.key" % key)


def test(l):
    commands, _ = readme.read()
    expect(KEY in [c.text for c in commands], "README.md makes its key in another way")
    commands = [c for c in commands if c.section == SECTION]
    expect(len(commands) > 5, "README.md shows only %d commands", len(commands))
    cluster = Cluster(l, 3, memory="512M", inner=True, up=False)
    prepare(cluster)
    readme.run(commands, Reader(cluster).table())
    cluster.close()


main(test)
