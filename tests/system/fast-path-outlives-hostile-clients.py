#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever a client does with its socket and its file while it asks for the fast path, the process
that serves the mount lives, honest clients go on, and what is deleted meanwhile leaves nothing."""

import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import threading
import time
import traceback

import lab
from lab import expect, wait_for
from mapper import Mapper
from remote import Mount, Node

MIB = 1 << 20
SIZE = 4 * MIB
STORM_SECONDS = 4
STORM_THREADS = 12

# gvm_attach.h
MESSAGE = struct.Struct("<IHHQQQQIi208s")
MAGIC, VERSION = 0x416d7647, 1
HELLO, WELCOME, REFUSE, READY, GO, ZAPPED, PIN_ALL, ABORT, DETACHED = 1, 2, 3, 4, 5, 7, 8, 9, 10

# linux/userfaultfd.h, asm/unistd_64.h
SYS_USERFAULTFD = 323
UFFDIO_API = 0xc018aa3f
UFFDIO_REGISTER = 0xc020aa00
MISSING_AND_MINOR_SHMEM = 1 << 5 | 1 << 10
EVENT_REMAP = 1 << 2
MISSING_AND_MINOR = 1 << 0 | 1 << 2
SHARED, PRIVATE_ANONYMOUS = 1, 0x22
MAYMOVE_FIXED = 3
MADV_DONTNEED, MADV_NOHUGEPAGE = 4, 15

# What is freed is overwritten, so that gvmfs does not get away with using it.
PERTURB = "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"


class Client:
    """One end of the conversation, which may be as rude as it likes."""

    def __init__(self, region):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.socket.connect(os.getxattr(region, "user.gvm.attach").decode())

    def say(self, kind, *descriptors, size=0, page=0):
        message = MESSAGE.pack(MAGIC, VERSION, kind, 0, 0, 0, size, page, 0, b"")
        socket.send_fds(self.socket, [message], descriptors)

    def hear(self):
        """The type of the next message; 0: the other end has closed."""
        message, descriptors, _, _ = socket.recv_fds(self.socket, MESSAGE.size, 8)
        for descriptor in descriptors:
            os.close(descriptor)
        return MESSAGE.unpack(message)[2] if message else 0


def userfaultfd(more=0):
    """One that is in order, but has nothing registered."""
    fd = ctypes.CDLL(None).syscall(SYS_USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
    expect(fd >= 0, "no userfaultfd")
    fcntl.ioctl(fd, UFFDIO_API, struct.pack("<QQQ", 0xaa, MISSING_AND_MINOR_SHMEM | more, 0))
    return fd


def ready(client):
    fd = userfaultfd()
    client.say(READY, fd, size=SIZE, page=4096)
    os.close(fd)
    return client.hear()


def has_pages_before_it_is_served(region):
    """A page that is mapped by then would never be asked for."""
    fd = os.open(region, os.O_RDWR)
    client = Client(region)
    client.say(HELLO, fd, size=SIZE)
    _, descriptors, _, _ = socket.recv_fds(client.socket, MESSAGE.size, 8)
    os.pwrite(descriptors[0], b"\0", SIZE - 1)
    answer = ready(client)
    expect(answer == REFUSE, "it is answered with %d, not refused", answer)
    for descriptor in [fd, *descriptors]:
        os.close(descriptor)
    client.socket.close()


def moves_its_memory(region):
    """Whoever moves registered memory waits until gvmfs has read the message; until then no page can be put in. Goes on until gvmfs
    gives it up, which only ends this region."""
    libc = ctypes.CDLL(None)
    for name in ("mmap", "mremap"):
        getattr(libc, name).restype = ctypes.c_void_p
    fd = os.open(region, os.O_RDWR)
    client = Client(region)
    client.say(HELLO, fd, size=SIZE)
    _, descriptors, _, _ = socket.recv_fds(client.socket, MESSAGE.size, 8)
    at = libc.mmap(None, ctypes.c_size_t(SIZE), 3, SHARED, descriptors[0], ctypes.c_long(0))
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(SIZE), MADV_NOHUGEPAGE)
    told = userfaultfd(EVENT_REMAP)
    fcntl.ioctl(told, UFFDIO_REGISTER, struct.pack("<QQQQ", at, SIZE, MISSING_AND_MINOR, 0))
    message = MESSAGE.pack(MAGIC, VERSION, READY, 0, at, 0, SIZE, 4096, 0, b"")
    socket.send_fds(client.socket, [message], [told])
    answer = client.hear()
    expect(answer == GO, "it is answered with %d", answer)

    def move(number):
        places = [at + SIZE - 4096 * (number + 1),
                  libc.mmap(None, ctypes.c_size_t(4096), 0, PRIVATE_ANONYMOUS, -1, ctypes.c_long(0))]
        while True:
            libc.mremap(ctypes.c_void_p(places[0]), ctypes.c_size_t(4096), ctypes.c_size_t(4096), MAYMOVE_FIXED,
                        ctypes.c_void_p(places[1]))
            places.reverse()

    def touch():
        while True:
            for page in range(at, at + SIZE // 2, 4096):
                libc.strnlen(ctypes.c_void_p(page), ctypes.c_size_t(1))
            libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(SIZE // 2), MADV_DONTNEED)

    for work, *arguments in [(move, 0), (move, 1), (touch,)]:
        threading.Thread(target=work, args=arguments, daemon=True).start()
    client.socket.settimeout(lab.patience(20))
    answer = client.hear()
    expect(answer == ABORT, "it is told %d", answer)


def repeats_itself(region, kind):
    """Each message takes some of the time of all regions."""
    fd = os.open(region, os.O_RDWR)
    client = Client(region)
    client.say(HELLO, fd, size=SIZE)
    expect(client.hear() == WELCOME, "no welcome")
    expect(ready(client) == GO, "it cannot go on")
    client.socket.settimeout(lab.patience(20))
    text = b"a device" if kind == PIN_ALL else b""
    sent = 0
    while not select.select([client.socket], [], [], 0)[0] and sent < 200000:
        try:
            client.socket.send(MESSAGE.pack(MAGIC, VERSION, kind, 77 if not text else 0, 0, 0, 0, 0, 0, text))
        except (BrokenPipeError, ConnectionResetError):  # It has just been ended.
            break
        sent += 1
    expect(sent > 4096, "it is ended after %d messages, as many as an honest one sends that locks its memory in pieces", sent)
    try:
        answer = client.hear()
    except ConnectionResetError:  # Of what it has sent some was not read. What it was told comes after that.
        answer = client.hear()
    expect(answer == ABORT, "it is told %d", answer)


def leaves(client):
    pass


def babbles(client):
    client.say(READY)
    client.hear()


def vanishes(client):
    ready(client)


def detaches(client):
    if ready(client) == GO:
        client.say(DETACHED)


def deletes_its_file(region, ending):
    """Asks for the fast path, and has neither file nor descriptor any more when it is granted."""
    fd = os.open(region, os.O_RDWR)
    client = Client(region)
    client.say(HELLO, fd, size=SIZE)
    expect(client.hear() == WELCOME, "no welcome")
    os.unlink(region)
    os.close(fd)
    time.sleep(0.3)  # the kernel forgets the file
    ending(client)
    client.socket.close()


def in_a_process(work, *arguments):
    """So that its memory goes with it, which gvmfs waits for."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work(*arguments)
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)
    expect(os.waitpid(pid, 0)[1] == 0, "%s did not get that far", (work, *arguments))


def storm(region):
    """Clients that come and go at any moment, with descriptors of every kind."""
    end = time.monotonic() + STORM_SECONDS

    def client():
        while time.monotonic() < end:
            try:
                kind = random.random()
                fd = os.open("/dev/null" if kind < 0.1 else region,
                             os.O_RDONLY if kind < 0.7 else os.O_RDWR)
            except OSError:
                continue  # another one is being attached
            try:
                rude = Client(region)
                with rude.socket:
                    rude.say(HELLO, fd, size=SIZE)
                    time.sleep(random.random() * 0.002)
                    if random.random() < 0.3:
                        rude.say(READY)
            except OSError:
                pass  # it was refused already
            os.close(fd)

    threads = [threading.Thread(target=client) for _ in range(STORM_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def may_be_opened(region):
    try:
        os.close(os.open(region, os.O_RDWR))
        return True
    except OSError:
        return False


def fast_mapper(l, region):
    """What the last ones had opened is closed soon after them."""
    def found():
        mapper = Mapper(l, region)
        if mapper.process.says(r"\): (uffd|fuse)").group(1) == "uffd":
            return mapper
        mapper.end()
        return None
    return wait_for("it comes to the fast path again", found, pause=0.1)


def test(l):
    os.environ["GLIBC_TUNABLES"] = PERTURB
    node = Node(l, "64M")
    mount = Mount(l, [node])
    worker = wait_for("gvmfs has a worker", mount.worker)
    region = mount.region("ram", SIZE)
    in_a_process(has_pages_before_it_is_served, region)
    honest = Mapper(l, mount.region("honest", SIZE))
    honest.do("fill", 0, SIZE, 1)
    in_a_process(moves_its_memory, mount.region("moved", SIZE))
    expect(mount.worker() == worker, "the worker did not live: a client moved its memory")
    for kind in ZAPPED, PIN_ALL:
        in_a_process(repeats_itself, mount.region("repeated-%d" % kind, SIZE), kind)
    honest.do("check", 0, SIZE, 1)
    for ending in (leaves, babbles, vanishes, detaches):
        doomed = mount.region(ending.__name__, SIZE)
        l.write(doomed, 0, MIB, 3)
        in_a_process(deletes_its_file, doomed, ending)
        wait_for("nothing of what was deleted is on the node",
                 lambda: not node.stats()["stored_bytes"])
        expect(mount.worker() == worker, "the worker did not live: a client %s", ending.__name__)
    storm(region)
    expect(mount.worker() == worker, "the worker did not live through the storm")
    honest.do("check", 0, SIZE, 1)
    honest.end()
    wait_for("its last rude client is dealt with", lambda: may_be_opened(region))
    late = fast_mapper(l, region)
    late.do("fill", 0, SIZE, 2)
    late.end()
    mount.drained("ram")
    l.check(region, 0, SIZE, 2)
    l.check(mount.file("honest"), 0, SIZE, 1)


lab.main(test)
