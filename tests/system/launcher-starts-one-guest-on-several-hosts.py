#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`gvm run --cpus` prints a command line for each host: run as they are printed, they are one guest. With --ssh it runs
all of them, and ends as the guest does, or with the first that fails; and what ssh has begun ends with it. Wrong lists of
hosts are refused. The options of the manual, -giantvm-id, -giantvm-conf and -giantvm-roles, say the same to QEMU; whose
monitor tells what the QEMUs said."""

import os
import re
import shlex
import stat
import sys

import bare
import guest
import lab
from lab import expect, program

# A host is another one where the address is not this host's: HOST1 is none that a program can listen at, which the last node
# does not; FAR is one, and no interface has it.
HOST0, HOST1, FAR = "10.9.9.1", "10.9.9.2", "10.9.9.3"
RAM = "/dev/gvm/ram"  # of a region of the kernel mode, in whose place there is a file here
# As OpenSSH does it without a terminal: nobody tells the command that the connection has ended.
SSH = '''#!%s
import os, select, sys
if sys.argv[1:5] != ["-T", "-o", "BatchMode=yes", "--"] or sys.argv[5] not in ("%s", "%s") or len(sys.argv) != 7:
    sys.exit(98)
print("fake ssh", flush=True)
if os.path.exists(os.path.dirname(sys.argv[0]) + "/ssh-fails"):
    sys.exit(99)
connection, end = os.pipe()
server = os.fork()
if not server:
    os.setsid()
    os.close(end)
    command = os.fork()
    if not command:
        os.execvp("sh", ["sh", "-c", sys.argv[6]])
    over = os.pidfd_open(command)
    if over not in select.select([over, connection], [], [])[0]:
        os._exit(255)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]) & 255)
os.close(connection)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]))
'''


def qemu(shared, *more):
    return [bare.Shared.program, "-smp", "2", "-m", "16M", "-accel", "tcg,thread=multi", "-cpu", "max", "-nodefaults", "-display",
            "none", "-bios", shared.firmware, "-device", "virtio-balloon-pci",
            "-qmp", "unix:%s/qmp-0,server=on,wait=off" % shared.folder, *more]


def in_file(shared):
    return ["-object", "memory-backend-file,id=m,size=16M,mem-path=%s/ram,share=on" % shared.folder, "-machine",
            "memory-backend=m"]


def gvm_run(cpus, key, *options):
    return [program("gvm"), "run", "--cpus", cpus, "--key", key, *options, "--"]


def ends(shared, status=0):
    """The guest works, and is switched off by the other host's vCPU."""
    shared.up()
    shared.works()
    shared.order(bare.OFF, 1)
    for process in shared.processes.values():
        expect(process.wait(10) == status, "%s: status %s: %s", process.name, process.popen.returncode, process.log())
    shared.end()


def printed(l, key):
    shared = bare.Bare(l, [0, 1])
    lines = l.run(*gvm_run("1@127.0.0.1:7001,1@127.0.0.1:7002", key, "--region", "ram"), *qemu(shared, "-S")).splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    expect(len(lines) == 2 and all(line.count(RAM) == 1 for line in lines), "it prints %s", lines)
    for node, line in enumerate(lines):
        shared.processes[node] = l.start("node%d" % node, "sh", "-c", "exec " + line.replace(RAM, shared.folder + "/ram"))
    lab.wait_for("node 0 has a monitor", lambda: os.path.exists(shared.folder + "/qmp-0"))
    shared.monitor(0).do("cont")
    ends(shared)


def using(folder):
    """The processes that have it in their command lines."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                found += [pid] * (folder.encode() in f.read())
        except OSError:
            pass  # it has ended
    return found


def by_ssh(l, key):
    path = l.path("ssh")
    with open(path, "w") as f:
        f.write(SSH % (sys.executable, HOST1, FAR))
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    env = {"PATH": "%s:%s:%s" % (os.path.dirname(path), os.path.dirname(program("gvm")), os.environ["PATH"])}
    l.run("ip", "address", "add", HOST0 + "/32", "dev", "lo")
    cpus = "1@%s,1@%s" % (HOST0, HOST1)

    shared = bare.Bare(l, [0, 1])
    shared.processes[0] = l.start("all", *gvm_run(cpus, key, "--ssh"), *qemu(shared, *in_file(shared)), env=env)
    ends(shared)

    l.run("ip", "route", "add", "local", FAR + "/32", "dev", "lo")
    shared = bare.Bare(l, [0, 1])
    shared.processes[0] = l.start("far", *gvm_run("1@%s,1@%s" % (FAR, HOST1), key, "--ssh"), *qemu(shared, *in_file(shared)),
                                  env=env)
    shared.up()
    shared.works()
    shared.processes[0].signal(15)
    shared.processes[0].wait(20)
    lab.wait_for("what ssh has begun ends with it", lambda: not using(shared.folder), 20)
    shared.end()

    with open(l.path("ssh-fails"), "w"):
        pass
    shared = bare.Bare(l, [0, 1])
    # Whatever the program that started it thinks of its own children.
    deaf = ("sh", "-c", "trap '' CHLD; exec \"$@\"", "sh")
    process = l.start("fails", *deaf, *gvm_run(cpus, key, "--ssh"), *qemu(shared, *in_file(shared)), env=env)
    expect(process.wait(40) not in (0, 98), "status %s", process.popen.returncode)
    expect("node 1, %s: ended with status 99" % HOST1 in process.log(), "it says %s", process.log())
    expect("%s: fake ssh\n" % HOST1 in process.log(), "it says %s", process.log())


def tells(shared, node, *what):
    said = shared.monitor(node).do("human-monitor-command", **{"command-line": "info vcpus-remote"})
    expect("this is node %d of 2 (0@0;1@1), after 0 resets" % node in said and "node %d: connected" % (1 - node) in said and
           all(re.search(pattern, said) for pattern in what), "node %d tells:\n%s", node, said)


def by_options(l, key):
    """Two of the list's nodes have the role cpu. QEMU's ports are those below the list's."""
    conf = l.path("manual.conf")
    with open(conf, "w") as f:
        f.write("7 127.0.0.1:7202 cpu,mem\n1 127.0.0.1:7102 cpu\n2 127.0.0.1:7302 mem\n")
    shared = bare.Bare(l, [0, 1])
    own = ["-machine", "smm=off,vmport=off", "-object", "secret,id=giantvm-key,file=" + key, "-giantvm-conf", conf, *in_file(shared)]
    shared.processes[0] = l.start("node1", *qemu(shared, *own, "-giantvm-id", "1"))
    other = [word for word in qemu(shared, *own, "-giantvm-id", "7", "-giantvm-roles", "cpu,mem") if "balloon" not in word]
    del other[other.index("-device")]
    shared.processes[1] = l.start("node7", *[word.replace("qmp-0", "qmp-1") for word in other])
    shared.up()
    shared.works()
    tells(shared, 0, r"received .*\bIO_READ [1-9]", r"sent .*\bIO_DONE [1-9].*\bIRQ [1-9]")
    tells(shared, 1, r"sent .*\bIO_READ [1-9]", r"received .*\bIRQ [1-9]", r"accesses +[1-9]\d* that waited, [1-9]")
    ends(shared)


def refused(l, reason, status, *command):
    process = l.start("refused", program("gvm"), "run", *command)
    expect(process.wait(20) == status and reason in process.log(), "%s: %s: %s", reason, process.popen.returncode, process.log())


def refuses(l, key):
    conf = l.path("cluster.conf")
    with open(conf, "w") as f:
        f.write("0 10.0.0.1:9999 cpu,mem\n1 10.0.0.2:9999 cpu\n2 10.0.0.3:9999 mem\n")
    line = ["--", "qemu-system-x86_64", "-smp", "2", "-m", "1G"]
    region = ["--region", "ram", "--conf", conf]
    said = l.run(program("gvm"), "run", *region, "--cpus", "1@0,1@1", "--port", "77", *line)
    expect("10.0.0.1:77;10.0.0.2:77" in said and "1 10.0.0.2" not in said, "it says %s", said)
    words = shlex.split(said.splitlines()[-1])
    expect("-nodefaults" in words and "file=/etc/gvm/key" in " ".join(words), "it says %s", said)
    refused(l, "has no node 7", 1, *region, "--cpus", "1@0,1@7", *line)
    refused(l, "lends memory alone", 1, *region, "--cpus", "1@0,1@2", *line)
    refused(l, "--cpus 1@no.such.host.invalid: ", 1, *region, "--cpus", "1@10.0.0.1,1@no.such.host.invalid", *line)
    refused(l, "neither a host's name nor an address", 1, *region, "--cpus", "1@10.0.0.1,1@10.0.0.2:x", *line)
    refused(l, "are both 10.0.0.1:9998", 1, *region, "--cpus", "1@0,1@10.0.0.1", *line)
    refused(l, "cannot reach", 1, *region, "--cpus", "1@127.0.0.1,1@10.0.0.2", *line)
    refused(l, "--cpus has 3 vCPUs, and -smp has 2", 1, *region, "--cpus", "1@0,2@1", *line)
    refused(l, "one host needs no --cpus", 1, *region, "--cpus", "2@0", *line)
    refused(l, "--cpus has nodes 0 to 1", 1, *region, "--cpus", "1@0,1@1", "--node", "2", *line)
    refused(l, "needs --region NAME", 1, "--cpus", "1@10.0.0.1,1@10.0.0.2", *line)
    refused(l, "belong to --cpus", 2, *region, *line)
    refused(l, "no.key: No such file or directory: umask 077; head", 1, "--key", l.path("no.key"), "--node", "1", *region,
            "--cpus", "1@0,1@1", *line)
    refused(l, "none of --local", 2, *region, "--cpus", "1@0,1@1", "--local", "1G", *line)
    refused(l, "and --ssh all of them", 2, *region, "--cpus", "1@0,1@1", "--node", "1", "--ssh", *line)


def test(l):
    key = l.path("key")
    with open(key, "w") as f:
        f.write(bare.KEY)
    os.chmod(key, 0o600)
    bare.Shared.program = bare.Shared.program or guest.patched()
    refuses(l, key)
    l.log("refused")
    printed(l, key)
    l.log("printed")
    by_options(l, key)
    l.log("by options")
    by_ssh(l, key)


lab.main(test)
