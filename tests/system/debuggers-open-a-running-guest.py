#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""drgn, gdb and crash open NAME.core of a guest that runs Debian's kernel, moved by KASLR, with 5 GiB of RAM of which little is
on this host: list of processes, log, symbols, and what lies above 4 GiB. For tools/check --full: the kernel's debug symbols
are large."""

import glob
import os
import re
import signal

import guest
import lab
from lab import expect, program
from remote import Mount, Node
import debug_symbols
import kernel

BUDGET = 128
LINE = "inspected: a line of the log"
DRGN = """
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg

for task in for_each_task(prog):
    print("task", task.pid.value_(), task.comm.string_().decode())
print("log", b"%s" in get_dmesg(prog))
print("banner", prog["linux_banner"].string_().decode())
high = [task for task in for_each_task(prog) if (task.value_() - prog["page_offset_base"].value_()) >> 32]
print("high", len(high), *sorted({task.comm.string_().decode() for task in high})[:5])
""" % LINE


def by_drgn(l, core, vmlinux):
    script = l.path("script.py")
    with open(script, "w") as f:
        f.write(DRGN)
    said = l.run("drgn", "-q", "-c", core, "-s", vmlinux, script, seconds=120)
    tasks = re.findall(r"^task (\d+) (\S+)", said, re.M)
    l.log("drgn: %d tasks; %s", len(tasks), re.search(r"^high .*", said, re.M).group())
    expect(("1", "init") in tasks and "watched" in [comm for _, comm in tasks], "drgn sees %s", tasks)
    expect(re.search(r"^log True", said, re.M), "drgn does not see the log: %s", said)
    expect(re.search(r"^banner Linux version ", said, re.M), "drgn sees no banner: %s", said)
    expect(int(re.search(r"^high (\d+)", said, re.M).group(1)) > 0, "no task lies above 4 GiB: %s", said)


def by_gdb(l, core, vmlinux, kaslr):
    said = l.run("gdb", "-nx", "-batch", "-ex", "symbol-file -o %s %s" % (kaslr, vmlinux), "-ex", "core-file " + core,
                 "-ex", "print linux_banner", "-ex", "print init_task.comm", "-ex",
                 "print ((struct task_struct *)((char *)init_task.tasks.next - "
                 "(long)&((struct task_struct *)0)->tasks))->comm", seconds=240)
    expect('"Linux version ' in said and '"swapper/0' in said and '"init"' in said, "gdb says %s", said)


def by_crash(l, core, vmlinux):
    """Debian 12's version finds no other process of a 6.1 than the idle one, in a dump that QEMU itself writes neither."""
    commands = l.path("commands")
    with open(commands, "w") as f:
        f.write("sys\nlog\nps\nrd -a linux_banner 20\nquit\n")
    said = l.run("crash", "-s", "-i", commands, vmlinux, core, seconds=240, env={"TERM": "dumb"})
    expect(LINE in said and "RELEASE: " in said and "Linux version" in said, "crash says %s", said[-3000:])
    return len(re.findall(r"^>? +\d+ +\d+ +\d+ +[0-9a-f]{16} ", said, re.M))


def test(l):
    vmlinux, symbols = debug_symbols.find()
    mount = Mount(l, [Node(l, "2G", "--overcommit", "8")])
    words = guest.command("fill", "5G", job="inspected", mib=150)
    words[words.index("-kernel") + 1], = glob.glob(os.path.join(kernel.Kernel().tree, "boot/vmlinuz-*"))
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % BUDGET, "--mode", "uffd", "--mount", mount.path,
                  "--region", "guest", "--", *words)
    run.says(r"^inspected: ready", 200)
    region = mount.file("guest")
    said = l.run(program("gvm"), "inspect", "kernel", "--map", symbols, region)
    kaslr = re.search(r"^KASLR +(0x\w+)", said, re.M).group(1)
    l.log("evictions: %d; KASLR: %s", mount.stats("guest")["evictions"], kaslr)
    expect(mount.stats("guest")["evictions"] > 100, "nothing has left this host")
    by_drgn(l, region + ".core", vmlinux)
    l.log("crash: %d processes", by_crash(l, region + ".core", vmlinux))
    by_gdb(l, region + ".core", vmlinux, kaslr)
    expect(mount.stats("guest")["resident_bytes"] <= BUDGET << 20, "reading brought more here than may be")
    run.signal(signal.SIGTERM)
    run.wait(30)


lab.main(test)
