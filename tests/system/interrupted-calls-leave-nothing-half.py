#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that are killed or interrupted at any moment, while a node comes and goes, end at once and
leave nothing half: a name is there or not, in one place, and can be made and removed again; a size is
one that was asked for; the rest of the content is untouched. Another mount sees the same. The process that looks at
callers is not the worker: if it is held up, callers are released later, and nothing else waits."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time

import lab
from lab import children, expect, wait_for
from remote import Mount, Node

MIB = 1 << 20
ROUNDS = 80
HITS = 15  # calls that a signal met, at the least: the others were faster
SIZES = [1 * MIB, 3 * MIB, 6 * MIB]
KEPT = 256 << 10  # below every size
ENDS = 30  # seconds for what hangs
BEGUN = 0.3  # seconds after which a call waits for a node that is away


def calls(mount, turn):
    name = mount.file("name-%d" % (turn % 4))
    other = mount.file("name-%d" % ((turn + 1) % 4))
    folder = mount.file("folder-%d" % (turn % 3))
    return [["touch", name], ["rm", "-f", name], ["mv", "-f", name, other], ["mkdir", folder],
            ["rmdir", folder], ["truncate", "-s", str(random.choice(SIZES)), mount.file("sized")],
            ["fallocate", "-l", str(random.choice(SIZES)), mount.file("sized")],
            ["chmod", random.choice(["600", "644"]), mount.file("sized")],
            [sys.executable, "-c", "import os, sys; f = os.open(sys.argv[1], os.O_RDWR); os.fsync(f)",
             mount.file("sized")],
            ["ls", "-l", mount.path], ["df", mount.path]]


def is_changeable(mount):
    return subprocess.run(["touch", mount.file("name-0")], capture_output=True, timeout=30).returncode == 0


coming_back = threading.Lock()  # of a node that is away


def flap(node, ending):
    while not ending.wait(random.uniform(0.02, 0.4)):
        node.stop()
        ending.wait(random.uniform(0.3, 8))
        with coming_back:
            node.go_on()


def interrupt(l, turn, command, number):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(random.choice([0.01, 0.1, 0.5, 1.2]) * random.random() * 2)
        return 0
    except subprocess.TimeoutExpired:
        pass
    with coming_back:  # which it does not wait for
        process.send_signal(number)
        try:
            process.wait(ENDS)
        except subprocess.TimeoutExpired:
            raise lab.Failure("round %d: signal %d does not end %s" % (turn, number, command)) from None
    return 1


def seconds_away(mount, node, command, number=None):
    """How long a call goes on beside a node that is away; from the signal on, if there is one."""
    node.stop()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    if number is not None:
        time.sleep(BEGUN)
        began = time.monotonic()
        process.send_signal(number)
    try:
        process.wait(ENDS)
        return time.monotonic() - began
    except subprocess.TimeoutExpired:
        return ENDS
    finally:
        node.go_on()
        process.wait()
        wait_for("names can be changed", lambda: is_changeable(mount))


def signals_end_calls(l, mount, node):
    """Calls about names and sizes end by themselves, too, after seconds: it is the signal that ends them."""
    turns = itertools.count()

    def seconds(kind, number):
        def call():
            turn, size = next(turns), os.stat(mount.file("sized")).st_size
            return {"name": ["mkdir", mount.file("away-%d" % turn)],
                    "size": ["truncate", "-s", str(SIZES[SIZES.index(size) - 1]), mount.file("sized")],
                    "mode": ["chmod", "6%d1" % (turn % 8), mount.file("sized")]}[kind]
        alone, ended = (seconds_away(mount, node, call(), by) for by in (None, number))
        l.log("a call that changes a %s: %.2f s, and %.2f s after signal %d", kind, alone, ended, number)
        return alone, ended
    for kind, number in ("name", signal.SIGINT), ("size", signal.SIGKILL), ("mode", signal.SIGTERM):
        alone, ended = lab.in_its_time(lambda kind=kind, number=number: seconds(kind, number),
                                       lambda took: took[0] > 4 * BEGUN and took[1] < took[0] / 4)
        expect(alone > 4 * BEGUN, "a call that changes a %s does not wait for a node that is away", kind)
        expect(ended < alone / 4, "signal %d does not end a call that changes a %s", number, kind)


def is_whole(l, mount):
    names = os.listdir(mount.path)
    expect(not [name for name in names if "~" in name], "two of one name: %s", names)
    for name in names:
        os.stat(mount.file(name))
    for name in ["name-%d" % n for n in range(4)]:
        if os.path.exists(mount.file(name)):
            os.unlink(mount.file(name))
        with open(mount.file(name), "xb") as f:
            f.truncate(MIB)
        os.unlink(mount.file(name))
    for name in ["folder-%d" % n for n in range(3)]:
        if os.path.exists(mount.file(name)):
            os.rmdir(mount.file(name))
        os.mkdir(mount.file(name))
    size = os.stat(mount.file("sized")).st_size
    expect(size in SIZES, "a size of %d bytes", size)
    l.check(mount.file("sized"), 0, KEPT, 1)
    l.check(mount.file("untouched"), 0, MIB, 2)


def is_whole_now(l, mount):
    """What goes on without its caller may come between."""
    try:
        is_whole(l, mount)
        return True
    except (FileExistsError, FileNotFoundError) as why:
        l.log("once more, since: %s", why)
        return False  # what is half for good is so each time


CALLER = """import mmap, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
m = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, prot=mmap.PROT_READ)
m.madvise(mmap.MADV_RANDOM)  # the fault itself reads, and no read-ahead
print("mapped", flush=True)
signal.sigwait([signal.SIGUSR1])
m[0]
"""


def in_fault(pid):
    """It waits in the kernel, and in no call."""
    with open("/proc/%d/syscall" % pid) as f:
        return f.read().split()[0] == "-1"


def looks_are_of_a_process_apart(l, node):
    mount = Mount(l, [node], name="looks")
    l.write(mount.region("asked", MIB), 0, MIB, 3)
    mount.kill_worker()  # the next one has no chunk in its cache
    helper = wait_for("there is a helper", lambda: [pid for pid, name in children(mount.worker()).items()
                                                    if name == "gvmfs-pages"])[0]
    caller = l.start("caller", sys.executable, "-c", CALLER, mount.file("asked"))
    caller.says("^mapped")
    node.stop()
    reads = mount.stats("asked")["reads"]
    caller.signal(signal.SIGUSR1)
    # (It may wait for a page of its own program, too.)
    wait_for("the caller reads", lambda: mount.stats("asked")["reads"] > reads and in_fault(caller.pid))
    os.kill(helper, signal.SIGSTOP)
    caller.signal(signal.SIGKILL)
    time.sleep(1)
    expect(caller.running(), "another process than the helper has looked at it")
    os.kill(helper, signal.SIGCONT)
    caller.wait(ENDS)
    node.go_on()
    mount.unmount()


def test(l):
    random.seed(int(os.environ.get("GVM_SEED", "1")))
    near, far = Node(l, "128M", name="near"), Node(l, "128M", name="far")
    mount = Mount(l, [near, far])
    mount.region("sized", SIZES[0])
    l.write(mount.file("sized"), 0, KEPT, 1)
    mount.region("untouched", MIB)
    l.write(mount.file("untouched"), 0, MIB, 2)
    worker, ending = mount.worker(), threading.Event()
    flapping = lab.Thread(flap, far, ending)
    flapping.start()
    try:
        turn = hit = 0
        while turn < ROUNDS or (hit < HITS and turn < 20 * ROUNDS):
            hit += interrupt(l, turn, random.choice(calls(mount, turn)),
                             random.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
            turn += 1
        l.log("%d of %d calls were interrupted", hit, turn)
        expect(hit >= HITS, "only %d calls were interrupted", hit)
    finally:
        ending.set()
        flapping.join()
    expect(mount.worker() == worker, "the worker was replaced:\n%s", mount.log())

    wait_for("names can be changed", lambda: is_changeable(mount), 30, 0.3)
    signals_end_calls(l, mount, far)
    wait_for("what goes on without its caller to end", lambda: is_whole_now(l, mount))
    other = Mount(l, [near, far], name="other")
    wait_for("another mount to show the same", lambda: sorted(os.listdir(other.path)) == sorted(os.listdir(mount.path)))
    mount.unmount()
    is_whole(l, other)
    looks_are_of_a_process_apart(l, Node(l, "128M", name="lone"))


lab.main(test)
