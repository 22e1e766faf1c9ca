#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm doctor says of a copy of /proc and /sys what is wrong there, of this host what it has, and of nodes what they and the way to
them can do; it changes nothing but with --fix, and then what it says it did; the region that it measures with is gone."""

import json
import os
import signal

import lab
from lab import expect, program, wait_for
from remote import Node

GOOD = {
    "proc/sys/kernel/osrelease": "6.12.9-amd64\n",
    "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vmx lm\n",
    "proc/meminfo": "MemTotal:       16000000 kB\nMemFree:         100 kB\nMemAvailable:    8000000 kB\n",
    "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t60\t1\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/net/ipv4/tcp_wmem": "4096\t16384\t4194304\n",
    "proc/sys/vm/overcommit_memory": "0\n",
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    "sys/module/kvm_intel/parameters/nested": "Y\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
}
# What is written in the place of the above -> the check that is no longer well
WRONG = {
    "proc/sys/kernel/osrelease": ("6.1.0-57-amd64\n", "kernel"),
    "proc/meminfo": ("MemTotal:       16000000 kB\nMemAvailable:    80000 kB\n", "memory"),
    "proc/cgroups": ("memory\t0\t60\t0\n", "cgroup"),
    "proc/sys/net/ipv4/tcp_rmem": ("4096\t131072\t262144\n", "receive buffers"),
    "proc/sys/net/ipv4/tcp_wmem": ("4096\t16384\t262144\n", "send buffers"),
    "proc/sys/vm/overcommit_memory": ("2\n", "overcommit"),
    "sys/module/kvm_intel/parameters/nested": ("N\n", "nested"),
    "sys/kernel/mm/transparent_hugepage/enabled": ("always madvise [never]\n", "huge pages"),
    "sys/kernel/mm/transparent_hugepage/shmem_enabled": ("[always] within_size advise never deny force\n",
                                                        "huge pages of shared memory"),
    "sys/devices/system/clocksource/clocksource0/current_clocksource": ("hpet\n", "clock"),
}


def lay_out(root, files):
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)


def examined(l, *arguments, status=0):
    """[finding] of --json."""
    return json.loads(l.run(program("gvm"), "doctor", "--json", *arguments, status=status))


def ill(findings):
    return [f["check"] for f in findings if f["verdict"] != "ok"]


def copies(l):
    root = l.path("root")
    lay_out(root, GOOD)
    findings = examined(l, "--root", root)
    expect(len(findings) >= 10 and not ill(findings), "of a host that has all: %s", findings)
    for path, (text, check) in WRONG.items():
        lay_out(root, {path: text})
        findings = examined(l, "--root", root)
        expect(ill(findings) == [check], "%s with %s: %s", path, text, ill(findings))
        lay_out(root, {path: GOOD[path]})
    lay_out(root, {path: text for path, (text, _) in WRONG.items()})
    expect(sorted(ill(examined(l, "--root", root))) == sorted(check for _, check in WRONG.values()), "not all of them")
    for path, (text, _) in WRONG.items():
        with open(os.path.join(root, path)) as f:
            expect(f.read() == text, "%s was changed without --fix", path)
    said = l.run(program("gvm"), "doctor", "--root", root, "--fix")
    expect(said.count("done: ") == 2 and "done: sysctl net.ipv4.tcp_rmem='4096 131072 6291456'" in said, "%s", said)
    expect("mend: sysctl vm.overcommit_memory=0" in said, "%s", said)
    left = [check for path, (_, check) in WRONG.items() if "tcp" not in path]
    expect(sorted(ill(examined(l, "--root", root))) == sorted(left), "after --fix: %s", ill(examined(l, "--root", root)))


def nodes(l):
    key = l.path("key")
    with open(key, "w", opener=lambda *a: os.open(*a, mode=0o600)) as f:
        f.write("0123456789abcdef")
    node, small = Node(l, "64M", "--key", key), Node(l, "1M", "--key", key)
    said = l.run(program("gvm"), "doctor", "--key", key, node.address, small.address, status=None)
    for address, pattern in ((node.address, "round trip"), (node.address, "MB/s there"), (node.address, "MTU"),
                             (small.address, "round trip")):
        expect(any(address in line and pattern in line for line in said.splitlines()), "no %s of %s:\n%s", pattern, address, said)
    expect(not any(small.address in line and "MB/s" in line for line in said.splitlines()), "a node without room:\n%s", said)
    expect(l.run(program("gvm"), "node", "--regions", "--key", key, node.address).strip() == "", "a region is left there")
    wrong = examined(l, node.address, status=1)
    expect(wrong[-1]["verdict"] == "failure" and "--key" in wrong[-1]["mend"], "without the key: %s", wrong[-1])
    # It ends by a signal, and leaves no region.
    doctor = l.start("doctor", program("gvm"), "doctor", "--key", key, *[node.address] * 40)
    doctor.says("MB/s there")
    doctor.signal(signal.SIGINT)
    expect(doctor.wait(20) == -signal.SIGINT, "status %s", doctor.popen.returncode)
    wait_for("the region is gone", lambda: not l.run(program("gvm"), "node", "--regions", "--key", key, node.address).strip())
    # (What it was told just before the node fell silent the other one may still say.)
    expect(any(interrupted_beside_a_silent_node(l, key, node) for _ in range(3)),
           "it ended no sooner than one that was not interrupted has gone on")


def interrupted_beside_a_silent_node(l, key, node):
    """One that is interrupted does not wait for a node that is silent while it has the region that is measured with, as one
    does that is not."""
    def regions():
        return l.run(program("gvm"), "node", "--regions", "--key", key, node.address).splitlines()
    left = len(regions())  # by one that could not wait for the node
    words = [program("gvm"), "doctor", "--key", key, *[node.address] * 40]
    doctor, other = l.start("doctor", *words), l.start("doctor", *words)
    wait_for("their regions are there", lambda: len(regions()) == left + 2, pause=0)
    node.stop()
    said = other.log()
    doctor.signal(signal.SIGINT)
    expect(doctor.wait(30) == -signal.SIGINT, "status %s", doctor.popen.returncode)
    alone = other.running() and other.log() == said
    node.go_on()
    other.signal(signal.SIGINT)
    other.wait(30)
    wait_for("no region of the other's is left", lambda: len(regions()) <= left + 1)
    return alone


def test(l):
    copies(l)
    checks = {f["check"] for f in examined(l, status=None)}
    for check in ("kernel", "fuse", "userfaultfd", "giantvm_kvm", "descriptors", "memory", "cgroup"):
        expect(check in checks, "nothing about %s of this host: %s", check, checks)
    nodes(l)


lab.main(test)
