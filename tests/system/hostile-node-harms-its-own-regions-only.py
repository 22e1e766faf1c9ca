#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that takes connections and says nothing, or half a word, or a byte now and then, that says all twice, floods
whoever connects with what it said to others before, or answers a read with what it answered to another one: nothing of
what lies on it is ever read wrong, it is right again when the node is honest, and regions on other nodes notice nothing."""

import ctypes
import errno
import os
import random
import socket
import struct
import threading
import time

import lab
from access import content
from lab import expect
from remote import Mount, Node, forget

MIB = 1 << 20
SIZE = 4 * MIB
HANGS = 25
KEPT = 4 * MIB
WAYS = ["silent", "mute", "half", "trickle", "closed", "twice", "flood", "again"]
HEAD, OP_GET = 40, 48

xxhash = ctypes.CDLL("libxxhash.so.0")
xxhash.XXH3_64bits.restype = ctypes.c_uint64
xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def frames_take(buffer):
    """The whole frames at the beginning of the buffer, which are taken out of it."""
    while len(buffer) >= HEAD:
        meta, data = struct.unpack_from("<HI", buffer, 10)
        if len(buffer) < HEAD + meta + data:
            return
        frame = bytes(buffer[:HEAD + meta + data])
        del buffer[:len(frame)]
        yield frame


def is_of_get(frame):
    return frame[5] == OP_GET and frame[8:10] == b"\0\0"


def answer_as(frame, other):
    """What the other frame says, in answer to the same request as this one, with a check that agrees."""
    meta = struct.unpack_from("<H", other, 10)[0]
    head = frame[:10] + other[10:16] + frame[16:24] + other[24:32]
    check = xxhash.XXH3_64bits(head + other[HEAD:HEAD + meta], len(head) + meta)
    return head + struct.pack("<Q", check) + other[HEAD:]


class Hostile:
    """In place of a node: honest until it is told otherwise, which ends its connections."""

    def __init__(self, node):
        self.node, self.how, self.callers, self.open = node, "honest", 0, set()
        self.said = bytearray()  # while it was honest
        self.gets = []  # of that, answers to reads
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def is_now(self, how):
        self.how, self.callers = how, 0
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _serve(self):
        while True:
            near, _ = self.listener.accept()
            self.callers += 1
            threading.Thread(target=self._caller, args=(near, self.how), daemon=True).start()

    def _caller(self, near, how):
        if how == "closed":
            near.close()
            return
        self.open.add(near)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if how == "silent":
                near.recv(1, socket.MSG_PEEK)  # is never taken
                while how == self.how:
                    time.sleep(0.05)
            else:
                self._carry(near, how)
        except OSError:
            pass
        finally:
            self.open.discard(near)
            near.close()

    def _carry(self, near, how):
        far = socket.create_connection(("127.0.0.1", self.node.port))
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open.add(far)
        threading.Thread(target=self._requests, args=(near, far), daemon=True).start()
        buffer = bytearray()
        try:
            while data := far.recv(1 << 16):
                buffer += data
                for frame in frames_take(buffer):
                    if how == "honest" and len(self.said) < KEPT:
                        self.said += frame
                        if is_of_get(frame):
                            self.gets.append(frame)
                    if how == "again" and is_of_get(frame):
                        frame = answer_as(frame, random.choice(self.gets))
                    self._answer(near, how, frame)
        finally:
            self.open.discard(far)
            far.close()

    @staticmethod
    def _requests(near, far):
        try:
            while data := near.recv(1 << 16):
                far.sendall(data)
            far.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _answer(self, near, how, data):
        if how == "mute":
            return
        if how == "half":
            near.sendall(data[:len(data) // 2])
            while self.how == how:
                time.sleep(0.05)
        elif how == "trickle":
            for n in range(len(data)):
                near.sendall(data[n:n + 1])
                time.sleep(0.1)
        else:
            near.sendall(data)
            if how == "twice":
                near.sendall(data)
            while how == "flood" and self.how == how:
                near.sendall(self.said)


def regions_on(l, node, name):
    mount = Mount(l, [node])
    path = mount.region(name, SIZE)
    l.write(path, 0, SIZE, 1)
    mount.unmount()


def goes_on(l, mount, seed):
    own = mount.file("own")
    forget(own)
    l.check(own, 0, SIZE // 2, 1, seconds=HANGS)
    l.write(own, SIZE // 2, SIZE // 2, seed, seconds=HANGS)
    forget(own)
    l.check(own, SIZE // 2, SIZE // 2, seed, seconds=HANGS)
    l.run("ls", "-l", mount.path, seconds=HANGS)


def reader(path, ways):
    """Reads pages of the region over and over; what was wrong, and how often there was an error."""
    found = {"wrong": [], "errors": 0, "read": 0, "end": False}

    def read():
        at = 0
        fd = os.open(path, os.O_RDONLY)
        while not found["end"]:
            at = (at + 37 * 4096) % SIZE
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                if os.pread(fd, 4096, at) != content(at, 4096, 1):
                    found["wrong"].append((ways.how, at))
                found["read"] += 1
            except OSError as why:
                expect(why.errno == errno.EIO, "%s: a read fails with %s", ways.how, why)
                found["errors"] += 1
                time.sleep(0.01)
        os.close(fd)
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, found


def test(l):
    near, third, far = (Node(l, "64M", name=name) for name in ("near", "third", "far"))
    hostile = Hostile(far)
    regions_on(l, near, "own")
    regions_on(l, far, "theirs")
    mount = Mount(l, [near, third, hostile])
    theirs = mount.file("theirs")
    l.check(theirs, 0, SIZE, 1)
    thread, found = reader(theirs, hostile)
    for seed, how in enumerate(WAYS, 10):
        errors = found["errors"]
        hostile.is_now(how)
        lab.wait_for("the mount comes to the node that is %s" % how, lambda: hostile.callers >= 2 or
                     (hostile.callers and how in ("silent", "mute", "half", "trickle", "again")), 30)
        goes_on(l, mount, seed)
        if how == "again":
            lab.wait_for("answers to others were refused", lambda: found["errors"] >= errors + 10, 60)
        read = found["read"]
        hostile.is_now("honest")
        lab.wait_for("it reads on after %s" % how, lambda: found["read"] > read + 10, 60)
        l.log("%s: %d errors so far", how, found["errors"])
    found["end"] = True
    thread.join(60)
    expect(not thread.is_alive(), "a read does not end")
    expect(not found["wrong"], "pages were read wrong: %s", found["wrong"][:5])
    forget(theirs)
    l.check(theirs, 0, SIZE, 1)
    mount.unmount()


lab.main(test)
