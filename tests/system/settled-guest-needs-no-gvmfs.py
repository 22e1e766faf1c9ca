#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm region settle: all of a guest comes to this host, though its budget is a fraction; a signal in the middle leaves
everything as it was; a guest that is stopped is named, and waited for no longer than one likes. Afterwards gvmfs and the node are
killed, and the guest goes on: a program that checks each byte and punches holes by its file, and Linux in an unmodified QEMU under
gvm run. No process has the mount in use. What the nodes have left is not shown, on no host, whoever mounts them."""

import errno
import os
import re
import signal

import guest
import lab
from lab import expect, program, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE, BUDGET = 32 * MIB, 4 * MIB
RAM = 96


def settle(l, region, *options, status=0):
    return l.run(program("gvm"), "region", "settle", *options, region, status=status)


def taken_back(l, mount, node, client, region):
    """The node does not answer, so that it is under way when the signal comes."""
    node.stop()
    run = l.start("settle", program("gvm"), "region", "settle", region)
    wait_for("it is under way", lambda: mount.stats("ram")["settling"])
    said = l.run(program("gvm"), "stat", region)
    expect("all of it is being fetched" in said, "gvm stat says %s", said)
    expect("under way already" in settle(l, region, status=1), "two at once")
    run.signal(signal.SIGINT)
    expect(run.wait(20) == 1 and "goes on as before" in run.log(), "it says %s", run.log())
    node.go_on()
    stats = mount.stats("ram")
    expect(stats["fast"] and not stats["settling"] and not stats["settled"], "after a signal: %s", stats)
    client.do("check", 0, SIZE, 1)
    wait_for("the budget holds again", lambda: mount.stats("ram")["resident_bytes"] <= BUDGET)


def mapper(l, mount, node):
    region = mount.region("ram", SIZE)
    expect("not on the fast path" in settle(l, region, status=1), "a region that is not mapped")
    client = Mapper(l, region)
    mount.budget("ram", BUDGET)
    client.do("fill", 0, SIZE, 1)
    client.do("punch", 4 * MIB, MIB)
    client.do("fill", 4 * MIB, MIB, 1)
    taken_back(l, mount, node, client, region)
    said = settle(l, region)
    expect("needs gvmfs no more" in said and "still hold" in said, "it says %s", said)
    stats = mount.stats("ram")
    expect(stats["settled"] and not stats["fast"] and not stats["failed"] and not stats["opens"], "stats: %s", stats)
    expect("settled" in l.run(program("gvm"), "region", "list", mount.path), "the list does not say so")
    expect("settled already" in settle(l, region), "the second time")
    try:
        os.close(os.open(region, os.O_RDONLY))
        raise lab.Failure("what the nodes have can be read as if it were the guest's memory")
    except OSError:
        pass
    return client


def told_twice(l, mount):
    """The worker dies when it has told the client, which has not heard of it; half of the memory was never touched."""
    region = mount.region("twice", SIZE)
    client = Mapper(l, region)
    client.do("fill", 0, SIZE // 2, 1)
    client.process.signal(signal.SIGSTOP)
    run = l.start("settle", program("gvm"), "region", "settle", region)
    wait_for("it has been told", lambda: mount.stats("twice")["settle_bytes"] == SIZE)
    run.says("process %d is stopped" % client.process.pid)
    run.signal(signal.SIGINT)
    expect(run.wait(20) == 1 and "cannot be taken back" in run.log() and "kill -CONT" in run.log(), "it says %s", run.log())
    expect(mount.stats("twice")["settling"] and not mount.stats("twice")["settled"], "stats: %s", mount.stats("twice"))
    run = l.start("settle", program("gvm"), "region", "settle", region)
    run.says("is stopped")
    mount.kill_worker()
    client.process.signal(signal.SIGCONT)
    expect(run.wait(20) == 0, "it says %s", run.log())
    client.do("fill", SIZE // 2, SIZE // 4, 2)
    wait_for("it is an ordinary file", lambda: not mount.stats("twice")["fast"])
    client.do("check", 0, SIZE // 2, 1)
    client.do("check", SIZE // 2, SIZE // 4, 2)
    client.do("byte", 3 * SIZE // 4, SIZE // 4, 0)
    client.end()
    expect(mount.stats("twice")["settled"], "nothing says that it is settled")


def known_to_all(l, node, *names):
    """On another host, or after the mount's end: it is deleted there."""
    other = Mount(l, [node], name="other")
    for name in names:
        wait_for("%s is known as settled" % name, lambda: other.stats(name)["settled"])
        for flags in (os.O_RDONLY, os.O_RDWR):
            try:
                os.close(os.open(other.file(name), flags))
                raise lab.Failure("what the nodes have of %s can be opened" % name)
            except OSError as why:
                expect(why.errno == errno.EIO, "%s", why)
    said = l.run(program("gvm"), "region", "list", other.path)
    for name in names:
        expect(re.search(" settled +%s$" % name, said, re.M), "the list says %s", said)
        l.run(program("gvm"), "region", "delete", other.file(name))
    other.unmount()


def goes_on(client):
    client.do("check", 0, SIZE, 1)
    client.do("fill", 8 * MIB, 8 * MIB, 2)
    client.do("punch", 16 * MIB, MIB)
    client.do("check", 8 * MIB, 8 * MIB, 2)
    client.do("byte", 17 * MIB, MIB, 7)
    client.do("check", 0, 8 * MIB, 1)
    client.do("check", 18 * MIB, SIZE - 18 * MIB, 1)


def verified(run):
    """So often the guest has found all that it wrote."""
    said = run.log()
    expect("BAD" not in said and "verdict" not in said and run.running(), "the guest says %s", said[-2000:])
    return said.count(" verify ")


def ends(l, run):
    """It has done more since, and its launcher has nothing to say of the mount."""
    before = verified(run)
    wait_for("the guest goes on", lambda: verified(run) > before + 4)
    l.log("rounds and their checks so far: %d", verified(run))
    run.signal(signal.SIGTERM)
    expect(run.wait(60) == 0 and "written back:" not in run.log() and "could not" not in run.log(), "%s", run.log()[-2000:])


def test(l):
    node = Node(l, "256M")
    mount = Mount(l, [node])
    told_twice(l, mount)
    client = mapper(l, mount, node)
    run = l.start("gvm-run", program("gvm"), "run", "--local", "%dM" % (RAM // 4), "--mode", "uffd", "--mount", mount.path,
                  "--region", "guest", "--", *guest.command("fill", "%dM" % RAM, job="fill", percent=60, rounds=1000))
    run.says(r"^gvm-fill: .* available", 60)
    wait_for("some of it has gone", lambda: mount.stats("guest")["evictions"])
    said = settle(l, mount.file("guest"))
    expect("has it open" not in said, "gvm run has not let go of it: %s", said)
    known_to_all(l, node, "twice", "ram")
    l.run(program("gvm"), "region", "delete", mount.file("guest"))
    wait_for("the nodes have given back what they had", lambda: not node.stats()["regions"])
    # The supervisor first, which would start another worker.
    worker = mount.stats()["worker_pid"]
    mount.process.signal(signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    node.kill()
    mount.process.wait(10)
    l.run("umount", mount.path)
    goes_on(client)
    client.end()
    ends(l, run)


lab.main(test)
