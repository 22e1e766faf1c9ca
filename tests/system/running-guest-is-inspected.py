#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose memory is six times what may be on this host is looked into while it runs: `gvm inspect` finds its kernel,
reads by virtual address what it reads by physical, finds what stands in memory, counts pages and tells which change;
readelf and gdb open NAME.core. None of that brings more here than may be."""

import os
import re
import signal
import subprocess

import guest
import lab
from lab import expect, program, wait_for
from remote import Mount, Node
import symbols

MIB = 1 << 20
RAM, BUDGET = 192, 32
LINE = "inspected: a line of the log"


class Inspected:
    def __init__(self, l, region):
        self.l, self.region = l, region

    def inspect(self, *arguments, **options):
        return self.l.run(program("gvm"), "inspect", *arguments, self.region, **options)

    def raw(self, how, address, length):
        return subprocess.run([program("gvm"), "inspect", "--" + how[0], hex(address), *how[1:], "--bytes", str(length),
                               "--raw", self.region], stdout=subprocess.PIPE, check=True, timeout=lab.patience(30)).stdout


def kernel_is_found(i, names):
    expect("nothing is known of its kernel" in i.inspect(), "something is known of the kernel before it is looked for")
    said = i.inspect("kernel", "--map", names)
    found = dict(re.findall(r"^(\w+) +(.*)", said, re.M))
    expect(found["kernel"].startswith("Linux version ") and "VMCOREINFO" in found, "the kernel is %s", said)
    with open(names) as f:
        at = {name: int(address, 16) for address, _, name in map(str.split, f)}
    banner = i.raw(["virt"], at["linux_banner"], 64)
    expect(found["kernel"].encode().startswith(banner.split(b"\n")[0]), "at linux_banner is %r", banner)
    return at["linux_banner"], int(re.search(r"guest physical (\w+)", found["text"]).group(1), 16) - at["_text"]


def addresses_agree(i, banner, offset, qmp):
    expected = i.raw(["phys"], banner + offset, 3 * MIB)
    for how in (["virt"], ["virt", "--qmp", qmp]):  # by the kernel's own page tables, and by a CPU's
        expect(i.raw(how, banner, 3 * MIB) == expected, "%s shows something else than --phys", how)
    said = i.inspect("--phys", hex(RAM * MIB - 16), status=1)
    expect(re.search("^0{8}%08x " % (RAM * MIB - 16), said, re.M) and "%#x: the guest has no memory there" % (RAM * MIB) in said,
           "at the end of memory: %s", said)
    said = i.inspect("--virt", "0xffff000000000000", "--qmp", qmp, status=1)
    expect("not mapped" in said or "no address" in said, "where nothing is mapped: %s", said)


def memory_is_searched(i):
    places = re.findall(r"^(0x\w+)  " + LINE, i.inspect("--find", LINE), re.M)
    expect(places, "what the guest has logged is not found")
    for place in places:
        expect(i.raw(["phys"], int(place, 16), len(LINE)) == LINE.encode(), "%s is not there", place)
    expect(re.findall(r"^(0x\w+)", i.inspect("--find-hex", LINE.encode().hex()), re.M)[0] == places[0], "--find-hex finds less")
    i.inspect("--find", "this stands nowhere: %d" % os.getpid(), status=1)
    census = {kind: int(n) for kind, n in re.findall(r"^  (\w+) +(\d+)  ", i.inspect("--census"), re.M)}
    expect(census["zero"] + census["compressible"] + census["random"] == RAM * MIB // 4096, "the census: %s", census)
    expect(min(census["zero"], census["compressible"], census["random"]) > 1000, "the census: %s", census)


def changes_are_told(i, run):
    """Of a guest that stands still there are none."""
    children = "/proc/%d/task/%d/children" % (run.pid, run.pid)
    with open(children) as f:
        qemu = int(f.read().split()[0])
    before = i.l.path("before")
    os.kill(qemu, signal.SIGSTOP)
    try:
        i.inspect("--snapshot", before)
        said = i.inspect("--diff", before)
        expect(said.startswith("0 of %d pages" % (RAM * MIB // 4096)), "a guest that stands still has changed: %s", said)
    finally:
        os.kill(qemu, signal.SIGCONT)
    wait_for("the guest changes something", lambda: re.match(r"0x\w+-0x\w+  ", i.inspect("--diff", before)))
    expect("remove it first" in i.inspect("--snapshot", before, status=1), "a snapshot is written over")


def tools_open_it(i, banner):
    core = i.region + ".core"
    said = i.l.run("readelf", "-lnW", core)
    expect(re.search(r"^  NOTE ", said, re.M) and "VMCOREINFO" in said and len(re.findall(r"^  LOAD ", said, re.M)) == 2,
           "readelf says %s", said[:2000])
    said = i.l.run("gdb", "-nx", "-batch", "-ex", "core-file " + core, "-ex", "x/s %#x" % banner, seconds=60)
    expect('"Linux version ' in said, "gdb says %s", said)


def test(l):
    names = symbols.path(lab.BUILD)
    mount = Mount(l, [Node(l, "320M")])
    qmp = l.path("qmp")
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", "uffd", "--mount", mount.path,
                  "--region", "guest", "--", *guest.command("fill", "%dM" % RAM, "-qmp", "unix:%s,server=on,wait=off" % qmp,
                                                            job="inspected", mib=100))
    run.says(r"^inspected: ready", 100)
    i = Inspected(l, mount.file("guest"))
    before = mount.stats("guest")
    expect(before["evictions"] > 300, "only %d chunks have left this host", before["evictions"])
    banner, offset = kernel_is_found(i, names)
    addresses_agree(i, banner, offset, qmp)
    memory_is_searched(i)
    changes_are_told(i, run)
    tools_open_it(i, banner)
    after = mount.stats("guest")
    l.log("%d KiB were here, now %d", before["resident_bytes"] >> 10, after["resident_bytes"] >> 10)
    expect(after["resident_bytes"] <= BUDGET * MIB, "reading brought %d bytes here", after["resident_bytes"])
    run.signal(signal.SIGTERM)
    run.wait(30)


lab.main(test)
