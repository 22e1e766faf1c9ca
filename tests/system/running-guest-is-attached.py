#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm attach: a program that maps a region without any of our code in it gets the fast path while another of its threads writes
and checks; so does Linux in a plain QEMU. What is not provably safe is refused, with the reason, and so is what
gvmfs refuses: then everything is as it was. Killed at any moment, it leaves the program right, and on one path or the other."""

import ctypes
import fcntl
import glob
import mmap
import os
import signal
import socket
import time

import guest
import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE, BUDGET, SMALL = 16 * MIB, 2 * MIB, 2 * MIB
RAM = 96


def attach(l, pid, *options, status=0):
    return l.run(program("gvm"), "attach", *options, pid, status=status, seconds=60)


def plain(l, region):
    """A program as it would be without gvm: nothing is preloaded."""
    return Mapper(l, region, LD_PRELOAD="")


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


def thread_names(pid):
    found = []
    for path in glob.glob("/proc/%d/task/*/comm" % pid):
        try:
            with open(path) as name:
                found.append(name.read())
        except OSError:
            pass  # it has just ended
    return found


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
                if open(path).read() == "gvmfs-door\n" and mount.path in open(os.path.dirname(path) + "/cmdline").read())
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
    region = mount.region("no", SIZE)
    no = [("traced", lambda fd: ctypes.CDLL(None).ptrace(0, 0, 0, 0), "traced already"),
          ("confined", lambda fd: confine(), "filter of system calls"),
          ("locked", lambda fd: ctypes.CDLL(None).mlock(ctypes.create_string_buffer(4096), 4096), "locked memory"),
          ("direct", lambda fd: os.open(__file__, os.O_RDONLY | os.O_DIRECT), "direct I/O"),
          ("just being attached", lambda fd: ctypes.CDLL(None).prctl(15, b"gvm-zap", 0, 0, 0), "is just being attached"),
          ("twice", lambda fd: keep(mmap.mmap(fd, SIZE)), "more than once"),
          ("shared", lambda fd: keep(os.fork() or time.sleep(1e6)), "shares its memory's file"),
          ("closed", "closed", "no longer open"),
          ("private", "private", "share=on is missing"),
          ("memfd", "memfd", "is a memfd")]
    for name, what, why in no:
        ready, tell = os.pipe()
        pid = os.fork()
        if not pid:
            child(region, what, tell)
        os.close(tell)
        expect(os.read(ready, 1) == b"y", "%s: it does not begin", name)
        os.close(ready)
        said = attach(l, pid, status=1)
        expect(why in said, "%s: it says %s", name, said)
        for below in [*lab.children(pid), pid]:
            os.kill(below, signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_for("the file is closed", lambda: not mount.stats("no")["opens"])
    expect("there is none" in attach(l, 1 << 22, status=1), "a process that there is not")


KEPT = []


def keep(what):
    KEPT.append(what)


def confine():
    """A filter that allows everything."""
    libc = ctypes.CDLL(None)
    filters = (ctypes.c_uint64 * 1)(0x7fff000000000006)
    rules = (ctypes.c_uint64 * 2)(1, ctypes.addressof(filters))
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(22, 2, rules, 0, 0)


def child(region, what, tell):
    fd = os.open(region, os.O_RDWR) if what != "memfd" else os.memfd_create("ram")
    os.ftruncate(fd, SIZE)
    if what == "closed":  # mmap.mmap() keeps a descriptor of its own
        libc = ctypes.CDLL(None)
        libc.mmap(None, ctypes.c_size_t(SIZE), 3, 1, fd, ctypes.c_long(0))
        os.close(fd)
    else:
        keep(mmap.mmap(fd, SIZE, flags=mmap.MAP_PRIVATE if what == "private" else mmap.MAP_SHARED))
    if callable(what):
        what(fd)
    os.write(tell, b"y")
    time.sleep(1e6)
    os._exit(0)


def new_mapping(pid, perms):
    """Without a name, and as only the clerk's are."""
    with open("/proc/%d/maps" % pid) as maps:
        return sum(line.split()[1:] == [perms, "00000000", "00:00", "0"] for line in maps)


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
    mount = Mount(l, [Node(l, "512M")])
    attached(l, mount)
    refused(l, mount)
    refused_by_gvmfs(l, mount)
    killed(l, mount)
    of_qemu(l, mount)


if __name__ == "__main__":
    lab.main(test)
