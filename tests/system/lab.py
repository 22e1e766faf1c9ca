# SPDX-License-Identifier: GPL-2.0-or-later
"""A laboratory for one test: processes, mounts, cgroups and a network of its own, all of which are
gone when the test is over, however it ends.

A test is a file with a function that takes a Lab, and ends with lab.main(function). It runs in a
network namespace that has only a loopback, so that it may break its network (cut, reset, heal) and
nothing it starts can be reached or collide. It adopts the orphans of what it starts: a daemon that
detaches is still found, by its pid, and ended.
"""

import ctypes
import glob
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
# A plain su leaves root without the folders of ip, nft and modinfo.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
sys.path += [os.path.join(SOURCE, "tools/lib"), os.path.join(SOURCE, "tests/guest")]

import features  # noqa: E402, F401 (also for the tests)
import leftovers  # noqa: E402
from cgroup import Cgroup  # noqa: E402

BUILD = os.path.abspath(os.environ.get("GVM_BUILD", "build"))
PROGRAMS = {
    "gvm": "tools/gvm",
    "gvmfs": "gvmfs/gvmfs",
    "gvm-memnode": "memnode/daemon/gvm-memnode",
    "gvmfs-mutant": "gvmfs/gvmfs-mutant",
    "libgvm-preload.so": "qemu/libgvm-preload.so",
    "torture": "tests/system/torture",
    "torture-fast": "tests/system/torture-fast",
    "sweep": "tests/system/sweep",
    "record_put": "tests/system/record_put",
    "confined": "tests/system/confined",
    "unanswering": "tests/system/unanswering",
    "locker": "tests/system/locker",
    "taker": "tests/system/taker",
    "liar": "tests/system/liar",
}
LOG_TAIL = 60  # lines of each log shown when a test fails
# What a test says of how long something may take is for a machine that has nothing else to do. It is there for what
# hangs: on a busy one it takes so many times as long.
PATIENCE = 3
# Seconds after which Meson kills the test (meson.build; tools/check gives it some times as long). What is waited for is
# given up at two thirds of them, so that the test itself tells what hangs, and clears up.
LIMIT = float(os.environ.get("GVM_LIMIT", "inf")) * float(os.environ.get("GVM_LIMIT_TIMES", "1"))
STARVED_S, LOOK_S = 0.15, 0.5  # see Starved
LAST_SECONDS = 10  # for what is waited for then: it may be well, and tell what is not
PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def program(name):
    return os.path.join(BUILD, PROGRAMS[name])


def expect(condition, text, *arguments):
    if not condition:
        raise Failure(text % arguments if arguments else text)


def skip(feature, reason):
    raise Skip("%s: %s" % (feature, reason))


def patience(seconds):
    """For how long to wait for what takes so many seconds at most on a machine that has nothing else to do."""
    left = STARTED + LIMIT * 2 / 3 - time.monotonic()
    return min(seconds * PATIENCE, max(left, LAST_SECONDS))


def wait_for(what, condition, seconds=20.0, pause=0.05):
    """Polls until condition() gives something true, which is returned; fails after the deadline."""
    seconds = patience(seconds)
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure("waited %g s in vain: %s" % (seconds, what))
        time.sleep(pause)


def best(measure, good, times=5):
    """What is measured, as often as it takes until it is good: a busy machine spoils a measurement now and then, what
    is wrong spoils each. After some times the last of them."""
    for _ in range(times):
        found = measure()
        if good(found):
            break
    return found


class Starved:
    """Whether this test had too little of the machine while the context was entered: in one of its looks a thread of its
    processes had waited for a processor for STARVED_S since the look before, or the look was so much too late, as where
    the whole machine stands still."""

    def __enter__(self):
        self.longest, self.over = 0, threading.Event()
        self.waited = self._waited()
        self.looker = threading.Thread(target=self._look)
        self.looker.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.looker.join()

    def __bool__(self):
        return self.longest > STARVED_S

    def _look(self):
        over = False
        while not over:
            began = time.monotonic()
            over = self.over.wait(LOOK_S)
            late = time.monotonic() - began - LOOK_S
            waited = self._waited()
            self.longest = max(self.longest, late, *(seconds - self.waited.get(thread, 0)
                                                     for thread, seconds in waited.items()))
            self.waited = waited

    @staticmethod
    def _waited():
        """For how long each thread has waited, of those that the kernel tells of."""
        found = {}
        for pid in [os.getpid(), *descendants()]:
            for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
                try:
                    with open(path) as f:
                        found[path] = int(f.read().split()[1]) / 1e9
                except (OSError, IndexError):
                    pass  # it has ended
        return found


def in_its_time(measure, good, times=5):
    """What is measured, once: again, until it is good or was too often, only where the test was starved meanwhile. So
    what goes wrong now and then is not tried until it goes well."""
    for _ in range(times):
        with Starved() as starved:
            found = measure()
        if good(found) or not starved:
            break
        print("once more: something waited %.2f s for a processor" % starved.longest, flush=True)
    return found


class Thread(threading.Thread):
    """join() raises what it failed with."""

    def __init__(self, what, *args):
        super().__init__(daemon=True)
        self.what, self.args, self.why = what, args, None

    def run(self):
        try:
            self.what(*self.args)
        except BaseException as why:
            self.why = why

    def join(self, timeout=None):
        super().join(timeout)
        if self.why:
            raise self.why


class Process:
    """Something started, with its output in a file."""

    def __init__(self, lab, name, command, cgroup=None, env=None, service=False, group=None):
        self.service = service  # ended only after those who may use it
        self.name, self.log_path = name, lab.path("%02d-%s.log" % (lab.number(), name))
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env={**os.environ, **(env or {})},
                preexec_fn=cgroup.enter if cgroup else None, process_group=group)
        self.pid = self.popen.pid
        lab.processes.append(self)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds):
        seconds = patience(seconds)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure("%s did not end within %g s" % (self.name, seconds)) from None

    def succeed(self, seconds):
        status = self.wait(seconds)
        expect(status == 0, "%s ended with status %s", self.name, status)
        return self.log()

    def says(self, pattern, seconds=20.0):
        """Waits until its output has a line that matches; a process that ends first fails."""
        def look():
            found = re.search(pattern, self.log(), re.M)
            if not found and not self.running():
                found = re.search(pattern, self.log(), re.M)
                expect(found, "%s ended with status %s without saying '%s'", self.name,
                       self.popen.returncode, pattern)
            return found
        return wait_for("%s says '%s'" % (self.name, pattern), look, seconds)


class Network:
    """The loopback of the test's own namespace, broken one port at a time."""

    def __init__(self):
        _run("ip", "link", "set", "lo", "up")
        self.broken = False

    def _rules(self, port, verdict):
        if not self.broken:
            _run("nft", "add table inet gvm; add chain inet gvm input "
                        "{ type filter hook input priority 0; }")
            self.broken = True
        for side in ("dport", "sport"):
            _run("nft", "add rule inet gvm input tcp %s %d %s" % (side, port, verdict))

    def cut(self, port):
        """Nothing that goes to or comes from the port arrives any more."""
        self._rules(port, "drop")

    def reset(self, port):
        """Every segment to or from the port is answered with RST."""
        self._rules(port, "reject with tcp reset")

    def heal(self):
        if self.broken:
            _run("nft", "delete table inet gvm")
            self.broken = False


class Lab:
    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="gvm-%s-" % name[:24], dir=_short_folder())
        self.processes, self.mounts, self.cgroups = [], [], []
        self._numbers = itertools.count()
        self.network = Network()

    def path(self, name):
        return os.path.join(self.folder, name)

    def number(self):
        """Another one each time, in whichever thread."""
        return next(self._numbers)

    def log(self, text, *arguments):
        print("%7.2f %s" % (time.monotonic() - STARTED, text % arguments if arguments else text),
              flush=True)

    def start(self, name, *command, **options):
        return Process(self, name, command, **options)

    def run(self, *command, seconds=30.0, status=0, **options):
        """Runs to the end and gives the output; another status than the expected one fails."""
        process = Process(self, os.path.basename(str(command[0])), command, **options)
        ended = process.wait(seconds)
        expect(status is None or ended == status, "%s ended with status %s:\n%s",
               " ".join(map(str, command)), ended, process.log())
        return process.log()

    def access(self, what, path, offset, length, seed, **options):
        """Starts write, check, map-write, map-check or map-later of a part of a file: see access.py."""
        return self.start(what, sys.executable, os.path.join(HERE, "access.py"), what, path,
                          str(offset), str(length), str(seed), **options)

    def write(self, path, offset, length, seed, seconds=30):
        self.access("write", path, offset, length, seed).succeed(seconds)

    def check(self, path, offset, length, seed, seconds=30):
        process = self.access("check", path, offset, length, seed)
        expect(process.wait(seconds) == 0, "%s: %s", path, process.log().strip())

    def cgroup(self, limit):
        group = Cgroup(limit)
        self.cgroups.append(group)
        return group

    def _terminate(self, chosen):
        chosen = [process for process in self.processes if chosen(process)]
        for process in chosen:
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGCONT)
        self._reap_until(lambda: not any(process.running() for process in chosen), 3)

    def _reap_until(self, done, seconds):
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            _reap(self.processes)
            time.sleep(0.02)

    # -- the end ----------------------------------------------------------------------------

    def logs(self):
        for process in self.processes:
            lines = process.log().splitlines()
            print("--- %s (pid %d, %s), its last lines:" %
                  (process.name, process.pid, "running" if process.running() else
                   "status %s" % process.popen.returncode))
            print("\n".join(lines[-LOG_TAIL:]))

    def close(self):
        """Ends everything: users, then mounts, then nodes. Returns what had to be forced."""
        forced = []
        self._terminate(lambda process: not process.service)
        for mount in reversed(self.mounts):
            if not mount.end():
                forced.append("mount " + mount.path)
        self._terminate(lambda process: True)
        self._reap_until(lambda: not descendants(), patience(10))
        for pid, name in descendants().items():
            forced.append("process %d (%s)" % (pid, name))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._reap_until(lambda: not descendants(), 5)
        _reap(self.processes)
        for group in self.cgroups:
            group.remove()
        if not os.environ.get("GVM_KEEP"):
            _remove(self.folder)
        return forced


def _remove(folder):
    """What a test has left mounted below may be the machine's own, as its /dev is: that is unmounted, never emptied."""
    folder = os.path.realpath(folder)  # as the kernel names it
    if all(subprocess.run(["umount", "-l", path]).returncode == 0 for path in leftovers.mounts(folder)):
        shutil.rmtree(folder, ignore_errors=True)


def _short_folder():
    """Where tests have their folders: TMPDIR, as tools/lib/environment.sh lets it be, and a folder of
    tools/check in it; else /tmp, since sockets of QEMU's take no long names, nor all characters."""
    base = tempfile.gettempdir()
    return base if len(base) <= 42 and re.fullmatch(r"[\w/.+-]+", base, re.A) else "/tmp"


def _run(*command):
    done = subprocess.run(command, text=True, capture_output=True)
    expect(done.returncode == 0, "%s: %s", " ".join(command), done.stderr)
    return done.stdout


def _reap(processes):
    """Collects the orphans that we adopted; Popen collects its own."""
    for process in processes:
        process.popen.poll()
    known = {process.pid for process in processes}
    for pid in children():
        if pid not in known:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def _stat(pid):
    """(name, state, parent) of a process, or None."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            head, _, tail = f.read().rpartition(")")
    except OSError:
        return None
    fields = tail.split()
    return head.partition("(")[2], fields[0], int(fields[1])


def children(of=None):
    of = os.getpid() if of is None else of
    found = {}
    for entry in os.listdir("/proc"):
        stat = _stat(int(entry)) if entry.isdigit() else None
        if stat and stat[2] == of and stat[1] != "Z":
            found[int(entry)] = stat[0]
    return found


def descendants(of=None):
    found, todo = {}, [os.getpid() if of is None else of]
    while todo:
        below = children(todo.pop())
        found.update(below)
        todo += below
    return found


STARTED = time.monotonic()


def _own_network():
    """Runs this test again in a network namespace of its own."""
    if os.environ.get("GVM_LAB") == "inside":
        return
    os.environ["GVM_LAB"] = "inside"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", "--",
                          sys.executable, *sys.argv])


def main(test):
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    if os.geteuid():
        print("skip: root: mounts, cgroups and namespaces need it")
        sys.exit(77)
    if not os.path.exists("/dev/fuse"):
        print("skip: fuse: there is no /dev/fuse")
        sys.exit(77)
    _own_network()
    os.environ.setdefault("GVM_RUN", "test-%d" % os.getpid())
    os.environ["GVM_TEST"] = name  # nothing below fetches: tests/guest/debian.py
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Whatever ends a test, it ends what it has begun. A shell's background job ignores the last three, and so would all
    # that is started here.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    lab, status = Lab(name), 1
    try:
        test(lab)
        status = 0
    except Skip as why:
        print("skip: %s" % why)
        status = 77
    except Failure as why:
        print("FAILED: %s" % why)
        traceback.print_exc()
    except Exception:
        traceback.print_exc()
    finally:
        if status not in (0, 77):
            lab.logs()
        forced = lab.close()
        if forced and status == 0:
            print("FAILED: had to be ended by force: %s" % ", ".join(forced))
            status = 1
    print("%s: %s" % (name, {0: "pass", 77: "skip"}.get(status, "FAIL")))
    sys.exit(status)
