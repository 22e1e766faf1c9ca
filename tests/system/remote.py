# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory nodes and mounts of gvmfs, as the tests handle them."""

import os
import re
import signal
import subprocess
import time

from lab import HERE, children, expect, patience, program, wait_for  # first: it says where the others are
import leftovers
from sealing import key_file
from counters import numbers  # noqa: F401 (also for the tests)

READY_SECONDS = 20


class Node:
    """A gvm-memnode on a port of its own, which it keeps over restarts."""

    def __init__(self, lab, memory="512M", *options, name="node", port=0, host="127.0.0.1",
                 before=()):
        self.host = host  # as it is listened on
        self.lab, self.memory, self.options, self.name = lab, memory, options, name
        self.before = before
        self.port = port
        self.start()

    def start(self):
        self.process = self.lab.start(self.name, *self.before, program("gvm-memnode"), "--listen",
                                      "%s:%d" % (self.host, self.port), "--memory", self.memory,
                                      *self.options, service=True)
        said = self.process.says(r"listening on %s:(\d+)" % re.escape(self.host), READY_SECONDS)
        self.port = int(said.group(1))

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def stop(self):
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.process.signal(signal.SIGCONT)

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self):
        """Ends it as an administrator would, and gives what it said."""
        self.process.signal(signal.SIGTERM)
        self.process.succeed(10)
        return self.process.log()

    def restart_empty(self):
        self.kill()
        self.start()

    def stats(self):
        return numbers(self.lab.run(program("gvm"), "node", self.address))


class Mount:
    """gvmfs on a folder of its own."""

    def __init__(self, lab, nodes, *options, name="mount", mutant=None, before=(),
                 sealing="off"):
        self.lab, self.name = lab, name
        self.path = lab.path("%s-%d" % (name, len(lab.processes)))
        os.mkdir(self.path)
        lab.mounts.append(self)
        listed = ",".join(node if isinstance(node, str) else node.address for node in nodes)
        # A test of sealing says so. By hand, with GVM_SEAL=1, all mounts do it; others need no key for nodes beyond loopback.
        if sealing == "off" and not any("seal" in str(option) for option in options):
            sealed = bool(os.environ.get("GVM_SEAL"))
            options = (*(["--seal-key-file", key_file(lab)] if sealed else ["--no-seal"]), *options)
        # In the foreground its messages are in the log, where tests look for them.
        self.process = lab.start(name, *before, program("gvmfs-mutant" if mutant else "gvmfs"), "-f",
                                 *(["--nodes", listed] if listed else []), *options, self.path,
                                 service=True, env={"GVM_MUTANT": mutant} if mutant else None)
        wait_for("%s is mounted" % self.path, self._mounted, READY_SECONDS)
        # Until it answers nothing here may touch it: this process could not be ended any more.
        lab.run("stat", self.path, seconds=READY_SECONDS)

    def _mounted(self):
        expect(self.process.running(), "gvmfs ended with status %s:\n%s",
               self.process.popen.returncode, self.process.log())
        return self.path in leftovers.mounts(self.path)

    def file(self, name):
        return os.path.join(self.path, name)

    def region(self, name, size):
        """Makes a region of that many bytes and gives its path."""
        path = self.file(name)
        with open(path, "xb") as f:
            f.truncate(size)
        return path

    def stats(self, name=None):
        path = self.path if name is None else self.file(name)
        return numbers(os.getxattr(path, "user.gvm.stats").decode())

    def budget(self, name, size):
        """How much of a region the fast path may have on this host."""
        os.setxattr(self.file(name), "user.gvm.local", b"%d" % size)

    def drained(self, name, seconds=30):
        """Waits until the fast path has let go of a region."""
        wait_for("the fast path lets go", lambda: not self.stats(name)["fast"], seconds)

    def worker(self):
        """The pid of the process that serves the mount now."""
        below = [pid for pid in children(self.process.pid)]
        return below[0] if below else None

    def kill_worker(self):
        pid = wait_for("gvmfs has a worker", self.worker)
        os.kill(pid, signal.SIGKILL)
        wait_for("the worker is replaced", lambda: self.worker() not in (None, pid), 20)

    def served_again(self, times):
        """Waits until so many workers that followed others have begun to serve."""
        wait_for("the new worker serves", lambda: self.stats()["restarts"] >= times)

    def log(self):
        return self.process.log()

    def says(self, pattern, seconds=20):
        return self.process.says(pattern, seconds)

    def unmount(self, seconds=30):
        """As a user would, and everything that was written has to be on the nodes after it."""
        self.lab.run("umount", self.path, seconds=seconds)
        self.process.succeed(seconds)
        self.lab.mounts.remove(self)

    def _unmount_gently(self):
        """What a program had open that has ended is closed soon after, by processes of gvmfs's too."""
        deadline = time.monotonic() + patience(10)
        try:
            while True:
                done = subprocess.run(["umount", self.path], capture_output=True, text=True, timeout=patience(10))
                if done.returncode == 0 or "busy" not in done.stderr or time.monotonic() > deadline:
                    return done.returncode == 0
                time.sleep(0.05)
        except subprocess.TimeoutExpired:
            return False

    def end(self):
        """For the lab's end: whether it went without force."""
        gently = True
        if self.path not in leftovers.mounts(self.path) and not self.process.running():
            return True
        if not self._unmount_gently():
            gently = False
            leftovers.unmount_by_force(self.path)
        deadline = time.monotonic() + patience(10)
        while self.process.running() and time.monotonic() < deadline:
            time.sleep(0.02)
        return gently and not self.process.running()


class Relay:
    """A way to a node that can be cut: to the node its clients are gone then, and they find nobody."""

    def __init__(self, lab, node, late=5.0):
        self.lab, self.node, self.port, self.late = lab, node, 0, late
        self.start()

    def start(self):
        """Also after a cut, on the same port."""
        self.process = self.lab.start("relay", "python3", HERE + "/relay.py", str(self.node.port), str(self.port),
                                      str(self.late), service=True)
        self.port = int(self.process.says(r"^relay on (\d+)").group(1))

    def cut(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait(5)

    def lengthen(self):
        """What the node says arrives `late` seconds later."""
        self.process.signal(signal.SIGUSR1)

    def shorten(self):
        self.process.signal(signal.SIGUSR2)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port


def open_error(path):
    """The errno of an attempt to open it for writing; 0: it can be."""
    try:
        os.close(os.open(path, os.O_RDWR))
        return 0
    except OSError as why:
        return why.errno


def forget(path):
    """Nothing of it stays in the page cache."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def two_regions(lab, near, far, size, *options):
    """A mount with `own`, which lies on the near node alone, and `shared`, which lies on both; with
    the contents of seeds 1 and 2."""
    mount = Mount(lab, [near])
    mount.region("own", size)
    mount.unmount()
    mount = Mount(lab, [near, far], *options)
    mount.region("shared", size)
    lab.write(mount.file("own"), 0, size, 1)
    lab.write(mount.file("shared"), 0, size, 2)
    held = far.stats()["stored_bytes"]
    expect(held > size // 8, "the far node holds only %d bytes", held)
    return mount, mount.file("own"), mount.file("shared")
