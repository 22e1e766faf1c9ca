# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration: what tools/demo does between installing packages and clearing up."""

import argparse
import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(TOP, "tests/guest"))

import accel  # noqa: E402
import image  # noqa: E402
from counters import numbers  # noqa: E402
from residency import resident_bytes  # noqa: E402

BUILD = os.path.abspath(os.environ.get("GVM_BUILD") or os.path.join(TOP, "build"))
GVM = os.path.join(BUILD, "tools/gvm")
GVMFS = os.path.join(BUILD, "gvmfs/gvmfs")
MEMNODE = os.path.join(BUILD, "memnode/daemon/gvm-memnode")
MIB = 1 << 20
LONG_JOB = ["percent=85", "rounds=2"]
SHORT_JOB, SHORT_MIB = ["percent=60", "rounds=1", "requests=200", "keys=100"], 256
PASSING = re.compile(r"gvm-fill: round ")  # lines that only tell of progress
GUEST_SECONDS = 420  # after which a guest is given up
BANNER = re.compile(rb"Linux version [0-9][\x20-\x7e]{20,200}")


class Trouble(Exception):
    pass


def say(text=""):
    print(text, flush=True)


def step(text):
    say("\n\033[1m==> %s\033[0m" % text if sys.stdout.isatty() else "\n==> " + text)


def shown(*command):
    say("    $ " + " ".join(os.path.relpath(word, TOP) if word.startswith(TOP) else word
                            for word in command))
    return command


def quietly(log, *command):
    with open(log, "wb") as f:
        status = subprocess.call(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=f,
                                 stderr=subprocess.STDOUT)
    if status:
        raise Trouble("%s failed:\n%s" % (" ".join(command), tail(log)))


def text_of(path):
    with open(path, errors="replace") as f:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|\r", "", f.read())


def tail(path, lines=15):
    return "\n".join("    " + line for line in text_of(path).splitlines()[-lines:])


def build(folder):
    """One at a time: a demonstration and a check, or two of either, may begin in one checkout."""
    step("Building")
    with open(os.path.join(TOP, "meson.build")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(BUILD, "build.ninja")):
            quietly(os.path.join(folder, "setup.log"), "meson", "setup", BUILD)
        quietly(os.path.join(folder, "ninja.log"), "ninja", "-C", BUILD)


def mib(size):
    return "%.0f MiB" % (size / MIB)


class Demo:
    def __init__(self, folder, ram, job):
        self.job = job  # what the guest does, as words of its kernel's command line
        self.folder, self.ram, self.budget = folder, ram * MIB, ram * MIB // 4
        self.mount = os.path.join(folder, "ram")
        self.region = os.path.join(self.mount, "guest")
        self.most_resident, self.qemu, self.faults, self.banner = 0, None, 0, None
        self.fast = False

    def path(self, name):
        return os.path.join(self.folder, name)

    def build(self):
        build(self.folder)
        self.vmlinux, self.initramfs = image.image("workload", BUILD)
        say("    kernel: %s" % os.path.basename(os.path.dirname(self.vmlinux)))

    def nodes(self):
        step("Two memory nodes lend memory")
        self.addresses, self.daemons = [], []
        lent = "%dM" % (self.ram // MIB * 5 // 8 + 32)
        for number in (1, 2):
            log = self.path("node-%d.log" % number)
            with open(log, "wb") as f:
                self.daemons.append(subprocess.Popen(
                    shown(MEMNODE, "--listen", "127.0.0.1:0", "--memory", lent),
                    stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT))
            said = self.wait(lambda: re.search(r"listening on (\S+:\d+)", text_of(log)), log,
                             self.daemons[-1])
            self.addresses.append(said.group(1))
            say(tail(log, 1))

    def wait(self, condition, log, process, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble("%s does not come up:\n%s" % (process.args[0], tail(log)))
            time.sleep(0.05)

    def mounted(self):
        step("gvmfs shows it as files")
        os.mkdir(self.mount)
        log = self.path("gvmfs.log")
        with open(log, "wb") as f:
            self.gvmfs = subprocess.Popen(
                shown(GVMFS, "-f", "--nodes", ",".join(self.addresses), self.mount),
                stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT)
        self.wait(lambda: os.path.ismount(self.mount), log, self.gvmfs)
        space = os.statvfs(self.mount)
        say("    %s, %s free" % (self.mount, mib(space.f_bavail * space.f_frsize)))

    def boot(self):
        chosen, why = accel.choose(self.vmlinux, self.initramfs)
        step("A guest of %s with %s of it on this host (%s)" % (mib(self.ram), mib(self.budget),
             "KVM" if chosen == "kvm" else "emulated: %s" % why))
        words = ["console=ttyS0", "quiet", "panic=-1", "watchdog_thresh=60", "job=workload", *self.job]
        command = shown(GVM, "run", "--local", "%dM" % (self.budget // MIB), "--mount", self.mount,
                        "--region", "guest", "--", "qemu-system-x86_64", "-machine",
                        "q35,accel=" + chosen, "-cpu", "max", "-m",
                        "%dM" % (self.ram // MIB), "-nodefaults", "-display", "none", "-no-reboot",
                        "-serial", "stdio", "-kernel", self.vmlinux, "-initrd", self.initramfs,
                        "-append", " ".join(words))
        say()
        self.console = self.path("console.log")
        with open(self.console, "wb") as f:
            self.run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=f,
                                        stderr=subprocess.STDOUT)

    def look(self):
        """What can be seen from outside, into the figures of the table."""
        self.fast |= bool(self.stats(self.region).get("fast"))
        resident = self.resident()
        self.most_resident = max(self.most_resident, resident)
        try:
            if self.qemu is None:
                with open("/proc/%d/task/%d/children" % (self.run.pid, self.run.pid)) as f:
                    for pid in f.read().split():
                        with open("/proc/%s/comm" % pid) as name:
                            if name.read().startswith("qemu"):
                                self.qemu = int(pid)
            with open("/proc/%d/stat" % (self.qemu or self.run.pid)) as f:
                self.faults = max(self.faults, int(f.read().rpartition(")")[2].split()[9]))
        except OSError:
            pass
        return resident

    def resident(self):
        """The region's bytes on this host: in the fast path's memory, or in the page cache."""
        if self.fast:
            return self.stats(self.region).get("resident_bytes", 0)
        try:
            return resident_bytes(self.region)
        except OSError as error:
            # The fast path's files cannot be mapped: it has begun to serve this one just now.
            if error.errno != errno.ENODEV:
                raise
        return self.stats(self.region).get("resident_bytes", 0)

    def stats(self, path=None):
        return numbers(os.getxattr(path or self.mount, "user.gvm.stats").decode())

    def watch(self):
        """Progress, until the guest is off."""
        start, shown_lines, printed = time.monotonic(), 0, 0.0
        while self.run.poll() is None:
            now = time.monotonic()
            if now - start > GUEST_SECONDS:
                raise Trouble("the guest did not end:\n%s" % tail(self.console))
            if not os.path.exists(self.region):
                time.sleep(0.1)
                continue
            resident = self.look()
            stats = self.stats()
            lines = self.said()
            for line in lines[shown_lines:]:
                if not PASSING.match(line):
                    self.line("    " + line)
            shown_lines = len(lines)
            if self.banner is None and any(line.startswith("guest: up") for line in lines):
                self.read_banner()
            if now - printed > (0.5 if sys.stdout.isatty() else 5):
                printed = now
                self.line("  %4.0f s [%s] %4.0f of %.0f MiB here, %d chunks fetched, %d written "
                          "back%s" % (now - start, bar(resident / self.ram), resident / MIB,
                                      self.ram / MIB, stats["chunks_fetched"],
                                      stats["chunks_written"], doing(lines)), True)
            time.sleep(0.2)
        self.line("")
        for line in self.said()[shown_lines:]:
            if not PASSING.match(line):
                say("    " + line)
        self.seconds = time.monotonic() - start
        # What the guest left in the fast path's memory goes to the nodes first.
        deadline = time.monotonic() + 60
        while self.stats(self.region).get("fast") and time.monotonic() < deadline:
            time.sleep(0.05)

    def said(self):
        """The whole lines of the guest's console that are its own."""
        lines = text_of(self.console).split("\n")[:-1]
        return [line for line in lines if re.match(r"(guest|redis|gvm-fill): ", line)]

    def line(self, text, passing=False):
        """On a terminal a passing line is written over by the next."""
        if not sys.stdout.isatty():
            if text:
                say(text)
            return
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r\033[K" + (text[:width] if passing else text + ("\n" if text else "")))
        sys.stdout.flush()

    def read_banner(self):
        """The running guest's own name, out of its RAM, through the file."""
        fd = os.open(self.region, os.O_RDONLY)
        try:
            for offset in range(16 * MIB, self.ram, MIB):
                found = BANNER.search(os.pread(fd, MIB + 256, offset))
                if found:
                    self.banner = found.group(0).decode()
                    self.line("    read out of its RAM: \"%s\"" % self.banner[:90])
                    return
            self.banner = ""
        finally:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)

    def table(self):
        stats = self.stats()
        console = text_of(self.console)
        verdicts = re.findall(r"^(guest|redis|gvm-fill): verdict (.*)$", console, re.M)
        guest = dict(verdicts).get("guest", "none")
        good = guest == "pass" and self.run.returncode == 0 and bool(self.banner)
        rate = lambda raw, sent: "%s as %s (%.1f : 1)" % (  # noqa: E731
            mib(raw), mib(sent), raw / sent if sent else 0)
        rows = [
            ("guest's RAM", mib(self.ram)),
            ("budget on this host", mib(self.budget)),
            ("most that was resident", mib(self.most_resident)),
            ("the way in", "userfaultfd" if self.fast else "a mapped file"),
            *([("faults", "%d" % stats["faults"]),
               ("  second chances", "%d" % stats["minor_faults"]),
               ("  that waited for room", "%d" % stats["room_waits"])] if self.fast else
              [("faults that waited", "%d" % self.faults),
               ("reads of the kernel", "%d" % stats["reads"])]),
            ("chunks fetched", "%d" % stats["chunks_fetched"]),
            ("  pages fetched", rate(stats["fetch_raw_bytes"], stats["fetch_bytes"])),
            ("  zero pages, not asked for", "%d" % stats["zero_pages_read"]),
            ("chunks written back", "%d" % stats["chunks_written"]),
            ("  pages written", rate(stats["put_raw_bytes"], stats["put_bytes"])),
            ("  zero pages, left out", "%d" % stats["zero_pages_written"]),
            ("held by the nodes now", mib(os.stat(self.region).st_blocks * 512)),
            ("time in the guest", "%.0f s" % self.seconds),
            ("guest's banner", self.banner[:60] or "NOT FOUND"),
        ]
        rows += [("%s's verdict" % who, what) for who, what in verdicts]
        step("What happened")
        for name, value in rows:
            say("    %-28s %s" % (name, value))
        if not verdicts:
            say(tail(self.console))
        if self.most_resident > self.budget + 16 * MIB:
            say("\n    more was resident than the budget allows")
            good = False
        return good

    def end(self):
        """The orderly end; what it cannot end, the trap of tools/demo does."""
        step("Clearing up")
        os.unlink(self.region)
        subprocess.run(["umount", self.mount], check=True)
        self.gvmfs.wait(30)
        for daemon in self.daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons:
            daemon.wait(10)


def doing(lines):
    last = lines[-1] if lines else ""
    return "; " + last[len("gvm-fill: "):] if PASSING.match(last) else ""


def bar(part, width=20):
    full = min(width, round(part * width))
    return "#" * full + "." * (width - full)


def ram_that_fits():
    with open("/proc/meminfo") as f:
        available = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable"))
    # The nodes are on this host too: twice the RAM is the worst that it can come to.
    return max(256, min(1024, available // 1024 // 3 // 128 * 128))


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("folder")
    parser.add_argument("--ram", type=int)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.ram is None:
        options.ram = SHORT_MIB if options.short else ram_that_fits()
    if not 256 <= options.ram <= 1 << 16:
        sys.exit("tools/demo: --ram: between 256 and 65536 (MiB)")
    demo = Demo(options.folder, options.ram, SHORT_JOB if options.short else LONG_JOB)
    start = time.monotonic()
    try:
        demo.build()
        demo.nodes()
        demo.mounted()
        demo.boot()
        demo.watch()
        good = demo.table()
        demo.end()
    except (Trouble, OSError, LookupError, RuntimeError, ValueError,
            subprocess.SubprocessError) as why:
        say("\ntools/demo: %s" % why)
        for name in ("gvmfs.log", "console.log"):
            if os.path.exists(demo.path(name)):
                say("--- %s\n%s" % (name, tail(demo.path(name))))
        return 1
    say("\n%s, %.0f s in all" % ("All went well" if good else "THIS DID NOT GO WELL",
                                time.monotonic() - start))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
