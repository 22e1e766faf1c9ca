# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run of tests may leave on the machine, found by marks and removed.

Every process of a run carries GVM_RUN=<id> in its environment, every file and mount lies under the
run's own folder, and a cgroup is ours if it is named after one of our programs and appeared during
the run. Nothing is ever recognised by a program's name alone: other people's guests are safe.
"""

import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
import time

MNT_FORCE, MNT_DETACH = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)

CGROUP = re.compile(r"^gvm")
MAKER = re.compile(r"^gvm[a-z-]*[.-](\d+)")
TABLE = re.compile(r"^table \S+ (gvm\S*)")


def _read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def processes(run):
    """{pid: name} of the run's processes, ourselves and our ancestors left out."""
    mark = b"GVM_RUN=" + run.encode()
    own, pid = set(), os.getpid()
    while pid > 1:
        own.add(pid)
        pid = int(_read("/proc/%d/stat" % pid).rpartition(b")")[2].split()[1] or 0)
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in own:
            if mark in _read("/proc/%s/environ" % entry).split(b"\0"):
                name = _read("/proc/%s/comm" % entry).decode(errors="replace").strip()
                found[int(entry)] = name
    return found


def run_of(pid):
    """The mark of the run that a process belongs to, or None."""
    for word in _read("/proc/%d/environ" % pid).split(b"\0"):
        if word.startswith(b"GVM_RUN=") and len(word) > len(b"GVM_RUN="):
            return word[len(b"GVM_RUN="):].decode(errors="replace")
    return None


def others_at_work(run):
    """Whether another check, demonstration or test of anybody's runs on this machine."""
    return any(run_of(int(pid)) not in (None, run) for pid in os.listdir("/proc") if pid.isdigit())


def _unescape(field):
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field))


def mounts(folder):
    """Mount points under the folder, the deepest first."""
    found = []
    for line in _read("/proc/self/mountinfo").split(b"\n")[:-1]:
        place = _unescape(line.split(b" ")[4])
        if place == folder or place.startswith(folder + "/"):
            found.append(place)
    return sorted(found, key=len, reverse=True)


def unmount_by_force(place):
    """Ends a FUSE mount's connection, so that whoever hangs in it gets an error, and takes it off.
    umount(8) might hang itself, looking at it."""
    return _libc.umount2(os.fsencode(place), MNT_FORCE | MNT_DETACH)


def cgroups():
    found = set()
    for line in _read("/proc/self/mountinfo").decode(errors="replace").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] in ("cgroup", "cgroup2"):
            for folder, names, _ in os.walk(fields[4]):
                found |= {os.path.join(folder, name) for name in names if CGROUP.match(name)}
    return found


def namespaces():
    return {name for name in _list("/run/netns") if name.startswith("gvm")}


def links():
    return {name for name in _list("/sys/class/net") if name.startswith("gvm")}


def tables():
    done = subprocess.run(["nft", "list", "tables"], text=True, capture_output=True)
    return {m.group(1) for m in map(TABLE.match, done.stdout.splitlines()) if m}


def _list(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def _locked(folder):
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


class Watch:
    """Looks before the run, says afterwards what is there that was not, and clears it away."""

    def __init__(self, run, folder):
        self.run, self.folder = run, os.path.realpath(folder)
        self.before = self._shared()

    @staticmethod
    def _shared():
        tables_now = tables() if os.geteuid() == 0 else set()
        return {"cgroup": cgroups(), "network namespace": namespaces(), "network link": links(),
                "nftables table": tables_now}

    def _now(self):
        left = ["process %d (%s)" % p for p in sorted(processes(self.run).items())]
        left += ["mount " + place for place in mounts(self.folder)]
        for kind, names in self._shared().items():
            for name in sorted(names - self.before[kind]):
                if kind != "cgroup" or not self._foreign(name):
                    left.append("%s %s" % (kind, name))
        return left

    def _foreign(self, group):
        """A cgroup whose living processes, or whose living maker, are not ours. Its name tells the
        maker's pid in our pid namespace; a lock on its folder says that there is one anywhere."""
        ours = set(processes(self.run)) | {os.getpid()}
        inside = {int(pid) for pid in _read(os.path.join(group, "cgroup.procs")).split()}
        if inside:
            return not inside & ours
        named = MAKER.match(os.path.basename(group))
        maker = int(named.group(1)) if named else 0
        if maker in ours:
            return False
        # One that is empty and without a maker may be another run's, while there is one.
        return (os.path.exists("/proc/%d" % maker) or _locked(group)
                or others_at_work(self.run))

    def left(self, patience=30):
        """What is left after those who are on their way out had time to go."""
        deadline = time.monotonic() + patience
        while True:
            left = self._now()
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.2)

    def clear(self):
        new = cgroups() - self.before["cgroup"]
        clear(self.run, self.folder, {group for group in new if not self._foreign(group)})


def groups_of(run):
    """Cgroups named after us that hold processes of the run."""
    found = set()
    for pid in processes(run):
        for line in _read("/proc/%d/cgroup" % pid).decode().splitlines():
            if CGROUP.match(os.path.basename(line)):
                found |= {g for g in cgroups() if g.endswith(line.split(":", 2)[2])}
    return found


def clear(run, folder, groups=frozenset()):
    """Ends the run's processes, frees its mounts, removes its cgroups."""
    groups, folder = groups | groups_of(run), os.path.realpath(folder)  # as the kernel names it
    for place in mounts(folder):
        unmount_by_force(place)
    deadline = time.monotonic() + 10
    while processes(run) and time.monotonic() < deadline:
        for pid in processes(run):
            _kill(pid)
        time.sleep(0.1)
    for place in mounts(folder):
        unmount_by_force(place)
    for group in sorted(groups, key=len, reverse=True):
        while not _removed(group) and time.monotonic() < deadline:
            time.sleep(0.05)


def _removed(group):
    """A group lives until the last of its processes is buried."""
    try:
        os.rmdir(group)
    except OSError:
        return not os.path.exists(group)
    return True


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


if __name__ == "__main__":
    # leftovers.py RUN FOLDER: for a shell's trap
    clear(*sys.argv[1:3])
