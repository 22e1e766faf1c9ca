#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm attach: a program that maps a region without any of our code in it gets the fast path while another of its threads writes
and checks; so does one with two regions, one of a user without rights, and Linux in a plain QEMU. What is not provably safe is
refused, with the reason, and so is what gvmfs refuses: then everything is as it was. Killed at any moment, it leaves the program
right, and on one path or the other."""

import contextlib
import ctypes
import fcntl
import glob
import mmap
import os
import shutil
import signal
import socket
import stat
import sys
import threading
import time

import guest
import lab
from lab import expect, program, wait_for
from mapper import Mapper, Stirring
from remote import Mount, Node
from startup import USER

MIB = 1 << 20
SIZE, BUDGET, SMALL = 16 * MIB, 2 * MIB, 2 * MIB
RAM = 96
AS_USER = ("setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups")
# A host whose KVM allows nested guests, or does not: "$0" is what its module says.
NESTED = ("unshare", "-m", "sh", "-c", "mount -t tmpfs none /sys/module && mkdir -p /sys/module/kvm_amd/parameters && "
          "echo $0 >/sys/module/kvm_amd/parameters/nested && exec \"$@\"")


def attach(l, pid, *options, status=0, before=()):
    return l.run(*before, program("gvm"), "attach", *options, pid, status=status, seconds=60)


def plain(l, region, **options):
    """A program as it would be without gvm: nothing is preloaded."""
    return Mapper(l, region, LD_PRELOAD="", **options)


def works(client, seed):
    client.do("check", 0, SIZE // 2, seed)
    client.do("stirred")
    client.do("fill", 0, SIZE // 2, seed + 1)
    client.do("check", 0, SIZE // 2, seed + 1)


def clerk_of(pid, region):
    """What one keeps, from its beginning on, so that there is no other."""
    with open("/proc/%d/maps" % pid) as maps:
        address = next(line.split("-")[0] for line in maps if line.rstrip().endswith(region))
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name.bind("\0gvm-attach %d %x" % (pid, int(address, 16)))
    return name


def content(path):
    """Of a process's or a thread's; nothing of one that has just ended."""
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def thread_names(pid):
    return [content(path) for path in glob.glob("/proc/%d/task/*/comm" % pid)]


def attached(l, mount):
    region = mount.region("ram", SIZE)
    client = plain(l, region)
    client.do("fill", 0, SIZE // 2, 1)
    client.do("stir", SIZE // 2, SIZE // 2)
    expect("nothing is in the way" in attach(l, client.process.pid, "--check"), "it says nothing")
    expect(not mount.stats("ram")["fast"], "--check has changed something")
    other = os.open("/proc/%d" % client.process.pid, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    expect("another gvm attach is at it" in attach(l, client.process.pid, status=1), "two at once")
    os.close(other)
    other = clerk_of(client.process.pid, region)
    expect("another gvm attach is at it: Address already in use" in attach(l, client.process.pid, status=1), "two clerks")
    other.close()
    wait_for("its clerk has ended", lambda: "gvm-zap\n" not in thread_names(client.process.pid))
    said = attach(l, client.process.pid, "--local", "2M")
    expect("on the fast path" in said, "it says %s", said)
    expect(mount.stats("ram")["fast"] and mount.stats("ram")["local_bytes"] == BUDGET, "stats: %s", mount.stats("ram"))
    works(client, 1)
    expect(mount.stats("ram")["evictions"], "nothing was evicted")
    client.do("punch", 4 * MIB, MIB)
    client.do("byte", 4 * MIB, 4096, 3)
    expect("is on the fast path" in attach(l, client.process.pid, status=1), "the second time")
    mount.kill_worker()
    client.do("check", 6 * MIB, 2 * MIB, 2)
    # A file for direct I/O that comes later: from then on nothing is evicted.
    client.do("direct")
    client.do("fill", 0, SIZE // 2, 4)
    client.do("check", 0, SIZE // 2, 4)
    mount.says(r"stays on this host despite its budget, because of a device")
    client.process.signal(signal.SIGKILL)
    client.process.wait(20)
    mount.drained("ram")


def refused_by_gvmfs(l, mount):
    """It is asked while everybody waits already. The door is stopped so that somebody can come in between."""
    region = mount.region("busy", SIZE)
    client = plain(l, region)
    client.do("fill", 0, SIZE // 2, 1)
    client.do("stir", SIZE // 2, SIZE // 2)
    door = next(int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/comm")
                if content(path) == "gvmfs-door\n" and mount.path in content(os.path.dirname(path) + "/cmdline"))
    os.kill(door, signal.SIGSTOP)
    run = l.start("attach", program("gvm"), "attach", client.process.pid)
    wait_for("everybody waits", lambda: "memfd:gvm-attach" in open("/proc/%d/maps" % client.process.pid).read())
    with open(region, "rb"):
        os.kill(door, signal.SIGCONT)
        expect(run.wait(30) == 1 and "gvmfs refuses: another program has it open" in run.log(), "it says %s", run.log())
    expect(not mount.stats("busy")["fast"], "it is on the fast path")
    works(client, 1)
    wait_for("it is attached", lambda: "on the fast path" in attach(l, client.process.pid, status=None))
    client.do("check", 0, SIZE // 2, 2)
    client.end()


def refused(l, mount):
    region, group = mount.region("no", SIZE), l.cgroup(40 * MIB)
    free = [("kvm alone", opens("/dev/kvm"), "nothing is in the way", (*NESTED, "0"))]
    no = [("traced", lambda fd: libc.ptrace(0, 0, 0, 0), "traced already"),
          ("confined", lambda fd: confine(), "filter of system calls"),
          ("locked", lambda fd: libc.mlock(ctypes.create_string_buffer(4096), 4096), "locked memory"),
          ("direct", lambda fd: os.open(__file__, os.O_RDONLY | os.O_DIRECT), "direct I/O"),
          ("io_uring", lambda fd: libc.syscall(425, 4, ctypes.create_string_buffer(120)) >= 0, "anon_inode:[io_uring"),
          ("block device", lambda fd: open_block(), "a block device"),
          *[(name, opens(name), name + " is open in it: a device may") for name in DEVICES],
          ("kvm", opens("/dev/kvm"), "KVM with nested guests", (*NESTED, "Y")),
          *[(word, word, why) for word, why in WORDS],
          ("just being attached", lambda fd: libc.prctl(15, b"gvm-zap", 0, 0, 0), "is just being attached"),
          ("twice", lambda fd: keep(mmap.mmap(fd, SIZE)), "more than once"),
          ("a later part", {"length": MIB, "offset": MIB}, "maps only a part of"),
          ("the first part", {"length": MIB}, "maps only a part of"),
          ("for reading", {"prot": mmap.PROT_READ}, "not for reading and writing"),
          ("private", {"flags": mmap.MAP_PRIVATE}, "share=on is missing"),
          ("shared", lambda fd: keep(os.fork() or time.sleep(1e6)), "shares its memory's file"),
          ("closed", "closed", "no longer open"),
          ("memfd", "memfd", "is a memfd"),
          ("nothing", "nothing", "maps no file of a gvmfs mount"),
          ("stopped", "stopped", "is stopped"),
          ("of a full group", lambda fd: group.enter(), "has no room for"),
          ("a thread", lambda fd: threading.Thread(target=time.sleep, args=(1e6,)).start(), "is a thread of process")]
    for name, what, why, *before in no + free:
        ready, tell = os.pipe()
        pid = os.fork()
        if not pid:
            child(region, what, tell)
        os.close(tell)
        begun = os.read(ready, 1)
        os.close(ready)
        named = pid
        if what == "stopped":
            os.waitpid(pid, os.WUNTRACED)
        if name == "a thread":
            named = max(map(int, os.listdir("/proc/%d/task" % pid)))
        if begun == b"y":
            said = attach(l, named, "--check", status=int(name != "kvm alone"), before=before[0] if before else ())
            expect(why in said, "%s: it says %s", name, said)
        else:
            expect(begun == b"n", "%s: it does not begin", name)
            l.log("this machine has nothing for '%s'", name)
        for below in [*lab.children(pid), pid]:
            os.kill(below, signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_for("the file is closed", lambda: not mount.stats("no")["opens"])
    expect("there is none" in attach(l, 1 << 22, status=1), "a process that there is not")
    own = l.path("gvm")
    shutil.copy(program("gvm"), own)
    os.chmod(l.folder, 0o755)
    said = l.run(*AS_USER, own, "attach", os.getpid(), status=1)
    expect("only root can attach it" in said, "a user: it says %s", said)


libc = ctypes.CDLL(None)
KEPT = []
DEVICES = ("/dev/vfio/vfio", "/dev/iommu", "/dev/vhost-vdpa-0", "/dev/vhost-scsi", "/dev/infiniband/uverbs0", "/dev/sev", "/dev/sg0")
# In QEMU's command line.
WORDS = (("vhost-user-blk-pci", "a vhost-user device"), ("vfio-pci", "a VFIO device"), ("vhost-vdpa-device-pci", "a vhost-vdpa device"),
         ("vhost-scsi-pci", "a vhost-scsi device"), ("scsi-block", "scsi-block go"), ("scsi-generic", "scsi-generic go"))
NAMED = """
import mmap, os, sys, time
memory = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
os.write(int(sys.argv[2]), b"y")
time.sleep(1e6)
"""


def keep(what):
    KEPT.append(what)


def confine():
    """A filter that allows everything."""
    filters = (ctypes.c_uint64 * 1)(0x7fff000000000006)
    rules = (ctypes.c_uint64 * 2)(1, ctypes.addressof(filters))
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(22, 2, rules, 0, 0)


def devices_of_its_own():
    libc.unshare(0x20000)
    libc.mount(b"none", b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE
    libc.mount(b"none", b"/dev", b"tmpfs", 0, None)


def opens(path):
    """As the kernel names it: what else the device would be does not count."""
    def what(fd):
        devices_of_its_own()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.open(path, os.O_RDWR | os.O_CREAT)
    return what


def open_block():
    """Any that there is; False: there is none."""
    devices_of_its_own()
    for place in glob.glob("/sys/class/block/*/dev"):
        with open(place) as numbers:
            os.mknod("/dev/block", 0o600 | stat.S_IFBLK, os.makedev(*map(int, numbers.read().split(":"))))
        try:
            return os.open("/dev/block", os.O_RDONLY | os.O_NONBLOCK) >= 0
        except OSError:
            os.unlink("/dev/block")
    return False


def child(region, what, tell):
    """Maps the region, and does what makes it one that cannot be attached."""
    if isinstance(what, str) and what in dict(WORDS):
        os.set_inheritable(tell, True)
        os.execv(sys.executable, [sys.executable, "-c", NAMED, region, str(tell), what])
    fd = os.open(region, os.O_RDWR) if what != "memfd" else os.memfd_create("ram")
    os.ftruncate(fd, SIZE)
    if what == "closed":  # mmap.mmap() keeps a descriptor of its own
        libc.mmap(None, ctypes.c_size_t(SIZE), 3, 1, fd, ctypes.c_long(0))
        os.close(fd)
    elif what != "nothing":
        keep(mmap.mmap(fd, **{"length": SIZE, **(what if isinstance(what, dict) else {})}))
    done = what(fd) if callable(what) else None
    os.write(tell, b"n" if done is False else b"y")
    if what == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(1e6)
    os._exit(0)


def two_regions(l, mount):
    """Of one process: both, each with what it may have here."""
    paths = [mount.region(name, 2 * BUDGET) for name in ("one", "two")]
    (ready, tell), (over, end), (heard, say) = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        stirring = [Stirring(mmap.mmap(os.open(path, os.O_RDWR), 2 * BUDGET), 0, 2 * BUDGET) for path in paths]
        os.write(tell, b"y")
        os.read(over, 1)
        for each in stirring:
            each.over.set()
            each.join()
        os.write(say, repr([each.wrong for each in stirring]).encode())
        os._exit(0)
    os.read(ready, 1)
    said = attach(l, pid, "--local", "2M")
    expect(said.count("on the fast path") == 2, "it says %s", said)
    for name in ("one", "two"):
        expect(mount.stats(name)["fast"] and mount.stats(name)["local_bytes"] == BUDGET, "%s: %s", name, mount.stats(name))
        wait_for("some of it leaves", lambda: mount.stats(name)["evictions"])
    os.write(end, b"y")
    said = os.read(heard, 4096)
    expect(said == b"[None, None]", "wrong: %s", said)
    os.waitpid(pid, 0)
    for fd in (ready, tell, over, end, heard, say):
        os.close(fd)


def misled(pid, before, over):
    """What the clerk was told is the process's to change: which device it may not open. (Where that comes too late nothing is seen.)"""
    told, lie = b"/dev/userfaultfd\0", b"/dev/kmsg\0"  # which root may write to
    with open("/proc/%d/mem" % pid, "r+b", 0) as memory:
        while not over.is_set():
            for first, last in unnamed(pid, "rw-p") - before:
                with contextlib.suppress(OSError):
                    memory.seek(first)
                    at = memory.read(last - first).find(told)
                    if at >= 0:
                        memory.seek(first + at)
                        memory.write(lie)
                        return


def of_a_user(l, mount):
    """Who may open no userfaultfd, as a rule: root opens the device instead."""
    region = mount.region("theirs", SMALL)
    os.chown(region, USER, USER)
    for name in ("mapper.py", "access.py"):
        shutil.copy(os.path.join(lab.HERE, name), l.folder)
    os.chmod(l.folder, 0o755)
    client = plain(l, region, before=AS_USER, script=l.path("mapper.py"))
    client.do("fill", 0, SMALL // 2, 1)
    client.do("stir", SMALL // 2, SMALL // 2)
    with open("/proc/sys/vm/unprivileged_userfaultfd") as f:
        may = f.read() == "1\n" or os.path.exists("/dev/userfaultfd")
    over = threading.Event()
    thread = threading.Thread(target=misled, args=(client.process.pid, unnamed(client.process.pid, "rw-p"), over))
    thread.start()
    try:
        said = attach(l, client.process.pid, status=int(not may))
    finally:
        over.set()
        thread.join()
    expect(("on the fast path" if may else "it gets no userfaultfd") in said, "it says %s", said)
    expect(bool(mount.stats("theirs")["fast"]) == may, "stats: %s", mount.stats("theirs"))
    client.do("check", 0, SMALL // 2, 1)
    client.do("stirred")
    client.do("fill", 0, SMALL // 2, 2)
    client.do("check", 0, SMALL // 2, 2)
    client.end()


def unnamed(pid, perms):
    """As only the clerk's are, beside what is there before."""
    with open("/proc/%d/maps" % pid) as maps:
        lines = [line.split() for line in maps]
    return {tuple(int(end, 16) for end in line[0].split("-")) for line in lines if line[1:] == [perms, "00000000", "00:00", "0"]}


def new_mapping(pid, perms):
    return len(unnamed(pid, perms))


def moments(pid):
    """What shows in the process how far it has got, if it has."""
    return [("it has room for the clerk", lambda: new_mapping(pid, "rw-p")),
            ("it has the clerk's code", lambda: new_mapping(pid, "r-xp")),
            ("the clerk has begun", lambda: len(os.listdir("/proc/%d/task" % pid))),
            ("everybody waits", lambda: "memfd:gvm-attach" in open("/proc/%d/maps" % pid).read())]


def killed(l, mount):
    region = mount.region("killed", SMALL)
    paths = []
    for turn in range(len(moments(0))):
        client = plain(l, region)
        client.do("fill", 0, SMALL // 2, 1)
        client.do("stir", SMALL // 2, SMALL // 2)
        what, moment = moments(client.process.pid)[turn]
        before = moment()
        run = l.start("attach", program("gvm"), "attach", client.process.pid)
        # Some of this is over in a moment: then it comes later than it says.
        wait_for(what, lambda: moment() != before or not run.running(), pause=0)
        run.signal(signal.SIGKILL)
        run.popen.wait()
        client.do("check", 0, SMALL // 2, 1)
        client.do("fill", 0, SMALL // 2, 2)
        client.do("stirred")
        client.do("check", 0, SMALL // 2, 2)
        with open("/proc/%d/maps" % client.process.pid) as maps:
            found = maps.read()
        expect("memfd:gvm-attach" not in found, "it waits for ever")
        paths.append("memfd:gvmfs-memory" in found)
        client.end()
        mount.drained("killed")
    l.log("after each kill, whether it was on the fast path: %s", paths)


def of_qemu(l, mount):
    region = mount.region("guest", RAM * MIB)
    run = l.start("qemu", *guest.command(
        "fill", "%dM" % RAM, "-object", "memory-backend-file,id=ram,size=%dM,mem-path=%s,share=on" % (RAM, region),
        "-machine", "memory-backend=ram", job="fill", percent=60, rounds=1000))
    run.says(r" verify ", 60)
    said = attach(l, run.pid, "--local", "%dM" % (RAM // 4))
    expect("on the fast path" in said, "it says %s", said)
    before = run.log().count(" verify ")
    wait_for("the guest goes on", lambda: run.log().count(" verify ") > before + 3, 60)
    expect(mount.stats("guest")["evictions"], "nothing was evicted")
    expect("BAD" not in run.log() and "verdict" not in run.log() and run.running(), "the guest says %s", run.log()[-2000:])
    l.log("%s", said.strip())
    run.signal(signal.SIGTERM)
    run.wait(30)


def test(l):
    if ctypes.CDLL(None).syscall(462, 0, 0, 0):
        lab.skip("mseal", "no mapping can be kept in its place before Linux 6.10")
    mount = Mount(l, [Node(l, "512M")], "--allow-other")
    attached(l, mount)
    refused(l, mount)
    two_regions(l, mount)
    of_a_user(l, mount)
    refused_by_gvmfs(l, mount)
    killed(l, mount)
    of_qemu(l, mount)


if __name__ == "__main__":
    lab.main(test)
