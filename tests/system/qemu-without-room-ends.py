#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An unmodified QEMU whose RAM the nodes have no room for ends before the guest runs, with an error of
its own, and gvmfs says how much was wanted and how much there is. One that runs refuses to have such
memory plugged in, and goes on. No file stays behind, and nobody gets SIGBUS. The same where QEMU runs
as another user, as libvirt runs it, and gvmfs without CAP_SYS_RESOURCE. A program that only calls itself so, and
locks what gvmfs locks, fills the host with none of gvmfs's processes."""

import json
import os
import resource
import shutil
import socket
import sys
import time

import lab
from lab import expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
USER = 65534
QEMU = ("qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none")
LIMITERS = 4  # of one user at a time
RUDE = """import fcntl, os, sys, threading
hold = os.open("/proc/self/limits", os.O_RDONLY)
fcntl.flock(hold, fcntl.LOCK_EX)
def ask(n):
    fd = os.open("%s/rude-%d" % (sys.argv[1], n), os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(fd, 1 << 40)
    except OSError as error:
        print(error.errno, flush=True)
threads = [threading.Thread(target=ask, args=(n,)) for n in range(int(sys.argv[2]))]
[t.start() for t in threads], [t.join() for t in threads]
print("over", flush=True)
sys.stdin.close()
threading.Event().wait()
"""


def monitor(path):
    """A function that gives QEMU a command and returns its answer."""
    s = socket.socket(socket.AF_UNIX)
    wait_for("QEMU listens", lambda: os.path.exists(path))
    s.connect(path)
    f = s.makefile("rw")
    f.readline()

    def ask(name, **arguments):
        f.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        f.flush()
        while True:
            answer = json.loads(f.readline())
            if "event" not in answer:
                return answer
    ask("qmp_capabilities")
    return ask


def refused(l, mount, *options, before=()):
    process = l.start("qemu", *before, *QEMU, *options)
    status = process.wait(60)
    expect(status == 1, "%s: status %s: %s", " ".join(options), status, process.log())
    expect("unable to map backing store" in process.log(), "QEMU says: %s", process.log())
    expect(os.listdir(mount.path) == [], "it left %s", os.listdir(mount.path))


def by_another_user(l, node):
    os.chmod(l.folder, 0o755)
    mount = Mount(l, [node], "--allow-other", before=("setpriv", "--bounding-set", "-sys_resource"))
    os.chown(mount.path, USER, USER)
    refused(l, mount, "-m", "1G", "-mem-path", mount.path,
            before=("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"))
    mount.says(r"cannot map it: its size of 1073741824 bytes was refused")
    mount.unmount()


def rude(l, mount):
    """Of those that ask at once only a few are served, and what serves them ends though the lock stays."""
    program, before = l.path("qemu-rude"), lab.children()
    shutil.copy(os.path.realpath(sys.executable), program)
    process = l.start("rude", program, "-c", RUDE, mount.path, str(4 * LIMITERS), env={"PYTHONHOME": sys.prefix})

    def limiters():
        return len(lab.children().keys() - before.keys() - {process.pid})

    most = 0
    while "over" not in process.log():
        most = max(most, limiters())
        expect(process.running(), "it ended: %s", process.log())
        time.sleep(0.05)
    expect(most <= 2 * LIMITERS, "gvmfs had %d processes for it", most)
    expect(process.log().count("28\n") == 4 * LIMITERS, "it was told %s", process.log())
    wait_for("what gvmfs started for it ends", lambda: limiters() == 0)
    process.signal(9)
    for n in range(4 * LIMITERS):
        os.unlink(mount.file("rude-%d" % n))


def test(l):
    node = Node(l, "256M")
    by_another_user(l, node)
    mount = Mount(l, [node])
    size = "size=1G,mem-path=" + mount.file("ram")
    refused(l, mount, "-m", "1G", "-mem-path", mount.path)
    refused(l, mount, "-m", "1G", "-machine", "memory-backend=m", "-object",
            "memory-backend-file,id=m,share=on," + size)
    refused(l, mount, "-m", "1G", "-machine", "memory-backend=m", "-object",
            "memory-backend-file,id=m,share=off," + size)
    mount.says(r"cannot promise 1073741824 bytes: \d{8,9} are free")
    # A file that was there stays.
    open(mount.file("ram"), "x").close()
    process = l.start("qemu", *QEMU, "-m", "1G", "-machine", "memory-backend=m", "-object",
                      "memory-backend-file,id=m,share=on," + size)
    expect(process.wait(60) == 1, "with a file that has no size: %s", process.log())
    expect(os.listdir(mount.path) == ["ram"], "there is %s", os.listdir(mount.path))
    os.unlink(mount.file("ram"))

    # One that runs goes on as it was.
    qemu = l.start("qemu", *QEMU, "-m", "64M,slots=4,maxmem=4G", "-mem-path", mount.path, "-qmp",
                   "unix:%s,server,nowait" % l.path("qmp"))
    ask = monitor(l.path("qmp"))
    before = resource.prlimit(qemu.pid, resource.RLIMIT_AS)
    plug = {"qom-type": "memory-backend-file", "id": "more", "share": True,
            "mem-path": mount.file("more")}
    answer = ask("object-add", size=1 << 30, **plug)
    expect("unable to map" in answer.get("error", {}).get("desc", ""), "object-add: %s", answer)
    expect(ask("query-status")["return"]["running"], "the guest does not run")
    expect(os.listdir(mount.path) == [], "it left %s", os.listdir(mount.path))
    # Nor do several refusals, one right after the other and each with less room than before.
    mount.region("filler", 180 * MIB)
    for size in (1 << 40, 1 << 30, 56 << 20, 32 << 20):
        answer = ask("object-add", size=size, **plug)
        expect("unable to map" in answer.get("error", {}).get("desc", ""), "object-add: %s", answer)
    os.unlink(mount.file("filler"))
    wait_for("QEMU's limit is what it was",
             lambda: resource.prlimit(qemu.pid, resource.RLIMIT_AS) == before, 10)
    answer = ask("object-add", size=64 << 20, **plug)
    expect("return" in answer, "what there is room for: %s", answer)
    answer = ask("device_add", driver="pc-dimm", id="dimm", memdev="more")
    expect("return" in answer, "plugging it in: %s", answer)
    expect(ask("query-status")["return"]["running"], "the guest does not run")
    rude(l, mount)
    ask("quit")
    expect(qemu.wait(20) == 0, "QEMU ended with status %s", qemu.popen.returncode)


lab.main(test)
