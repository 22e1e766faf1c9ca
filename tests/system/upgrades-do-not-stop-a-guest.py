#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm upgrade, time and again, under a program on the fast path that checks what it reads; and with programs that cannot take
over, whose reason is said, while the old one goes on. What leaves the host is sealed: each program reads the key."""

import contextlib
import glob
import os
import shutil
import signal
import socket
import sys
import time

import lab
from lab import expect, features, program, skip
from mapper import Mapper
from remote import Mount, Node
from sealing import key_file
from startup import USER, as_user, folder, open_device, serving

MIB = 1 << 20
SIZE, BUDGET = 16 * MIB, 4 * MIB
UPGRADES = 100 if os.environ.get("GVM_LONG") else 2


def upgrade(l, mount, to=None, status=0):
    return l.run(program("gvm"), "upgrade", "--to", to or program("gvmfs"), mount.path, status=status, seconds=60)


def refused(l, mount, client, key):
    for other, why in (("/bin/true", "does not say why"), (sys.executable, "nknown option"), (__file__, "cannot be executed"),
                       (program("gvmfs-mutant"), "ended by signal 6")):
        said = upgrade(l, mount, os.path.realpath(other), 1)
        expect(why in said and "goes on" in said, "with %s: %s", other, said)
        expect(mount.process.running(), "the supervisor has ended")
    os.rename(key, key + ".kept")
    key_file(l)
    said = upgrade(l, mount, status=1)
    expect("the key for sealing is another one" in said, "with another key: %s", said)
    os.rename(key + ".kept", key)
    client.do("check", 0, SIZE, 1)


def below(l, node):
    """Started in the folder on which it mounts: a program would wait there for its own worker."""
    mount = Mount(l, [node], name="below", before=("sh", "-c", 'for last; do :; done; cd "$last"; exec "$@"', "sh"))
    said = upgrade(l, mount, status=1)
    expect("it was started in the folder on which it is mounted" in said, "said: %s", said)
    mount.unmount()


# Has the socket of that name take no connection, or be a link to another program's.
STRANGER = """
import os, signal, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen(0)
waiting = []
try:
    while len(sys.argv) == 2:
        waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        waiting[-1].setblocking(False)
        waiting[-1].connect(sys.argv[1])
except BlockingIOError:
    pass
if len(sys.argv) > 2:
    os.unlink(sys.argv[1])
    os.symlink(sys.argv[2], sys.argv[1])
print("listens", flush=True)
signal.pause()
"""


def beside_strangers(l, place, own):
    """What another user has under the name of a mount's socket neither holds root up nor sends root to another program."""
    path, = glob.glob(os.path.join(own, "gvmfs", "upgrade-of-*"))
    name = os.path.basename(path)
    os.rename(path, path + "-moved")
    other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other.bind(l.path("other"))
    other.listen()
    for trick in (), (l.path("other"),):
        stranger = folder(l, "stranger%d" % len(trick))
        os.chown(stranger, 1, 1)
        run = l.start("stranger", "setpriv", "--reuid=1", "--regid=1", "--clear-groups", sys.executable, "-c", STRANGER,
                      os.path.join(stranger, name), *trick)
        run.says("^listens$")
        said = l.run(program("gvm"), "upgrade", "--to", l.path("gvmfs"), place, status=1, seconds=60)
        expect("its gvmfs cannot be asked" in said, "%s: %s", trick, said)
        run.popen.kill()
        run.popen.wait()
    other.close()
    os.rename(path + "-moved", path)


def of_a_user(l, node):
    """Whose socket is in a folder of that user's, and whose mount lets nobody else in: root upgrades it, and another user is told that
    he may not."""
    open_device(l)
    place, own = folder(l, "theirs"), folder(l, "r" * max(1, 68 - len(l.folder)))  # As long as it may be for the fast path.
    for path in (place, own):
        os.chown(path, USER, USER)
    run = l.start("gvmfs", "env", "XDG_RUNTIME_DIR=" + own, *as_user(l, [node], place, "-f", "--no-seal"), service=True)
    run.says("NOT sealed")  # It says so when it can be asked for an upgrade: it is mounted before that.
    shutil.copy(program("gvm"), l.path("gvm"))
    before = serving(place)
    said = l.run("setpriv", "--reuid=1", "--regid=1", "--clear-groups", l.path("gvm"), "upgrade", "--to", l.path("gvmfs"), place, status=1)
    expect("only root, or the user who mounted it (%d)" % USER in said, "another user: %s", said)
    said = l.run(program("gvm"), "upgrade", "--to", l.path("gvmfs"), place, seconds=60)
    expect("served by gvmfs" in said, "root: %s", said)
    expect(run.pid in before and run.pid in serving(place) and serving(place) != before, "no other worker: %s", serving(place))
    said = l.run(program("gvm"), "upgrade", l.folder, status=1)
    expect("not in a gvmfs mount" in said, "no mount: %s", said)
    beside_strangers(l, place, own)
    l.run("umount", place)
    run.succeed(20)


def returns(l, mount):
    """Workers that die at once, again and again, soon after an upgrade are the new program's fault."""
    said, end = "workers of the new program die too often", time.monotonic() + 20
    while said not in mount.log() and time.monotonic() < end:  # (on a slow machine they may live too long)
        worker = mount.worker()
        if worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.01)
    l.log("%s", said if said in mount.log() else "no five workers died at once")
    expect(mount.process.running(), "the supervisor has ended")


def longest_wait(client):
    return int(client.process.says(r"(?s).*^churn \d+ \d+ \d+ (\d+)$").group(1))


def test(l):
    if not features.fuse_resend():
        skip("fuse-resend", "this kernel does not send unanswered requests again")
    node = Node(l, "128M")
    below(l, node)
    of_a_user(l, node)
    key = key_file(l)
    # Only gvmfs-mutant has this.
    mount = Mount(l, [node], "--seal-key-file", key, before=("env", "GVM_MUTANT=renewed-in-vain"))
    client = Mapper(l, mount.region("ram", SIZE))
    mount.budget("ram", BUDGET)
    client.do("fill", 0, SIZE, 1)
    refused(l, mount, client, key)
    supervisor = mount.process.popen.pid
    longest, beside = [], []
    for _ in range(UPGRADES):
        if UPGRADES > 2:  # what the machine makes of it without one
            client.do("churn", 0, SIZE // 2, 1)
            beside.append(longest_wait(client))
        before = mount.stats()
        client.ask("churn", 0, SIZE // 2, 1)
        expect("served by gvmfs" in upgrade(l, mount), "an upgrade failed")
        after = mount.stats()
        expect(after["restarts"] == before["restarts"] + 1, "restarts: %d", after["restarts"])
        client.answer()
        longest.append(longest_wait(client))
        client.answer()
    returns(l, mount)
    client.do("check", SIZE // 2, SIZE // 2, 1)
    expect(mount.process.running() and mount.process.popen.pid == supervisor, "another supervisor")
    for name, found in (("upgrades", longest), ("seconds without one", beside)):
        if found:
            found.sort()
            l.log("longest waits of %d %s: 50 %% within %d us, 99 %% within %d us", len(found), name, found[len(found) // 2],
                  found[len(found) * 99 // 100])
    # Another may come to the fast path, by the new door, and a killed worker is replaced.
    other = Mapper(l, mount.region("other", MIB), mode="uffd")
    other.do("fill", 0, MIB, 2)
    mount.kill_worker()
    other.do("check", 0, MIB, 2)
    other.end()
    client.end()


lab.main(test)
