# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds and tests everything.

usage: tools/check [--help] [--keep] [--full] [--long] [--fresh | --prepare] [SUITE...]

Suites (all of them but full and debug if none is named):
  compile    all with clang; what is installed with gcc at -O3, with LTO, and as Debian's packages,
             which lintian looks at; with --long at -Os, too
  sanitized  unit and protocol tests under ASan and UBSan
  unit       pure code
  protocol   a real node and a real client
  ivy        the kernel mode's coherence protocol: model check, simulator, mutants
  fuzz       codec and parsers under libFuzzer, for a bounded time
  manual     every program's --help against its man page
  system     mounts, guests, broken networks; needs root
  kernel     the kernel module, in guests of their own
  full       what needs much that is fetched or is slow: debuggers, with the debug symbols of a
             guest's kernel (280 MB); libvirt; a browser; a guest with vCPUs in two QEMUs under KVM, and
             one on three hosts over the kernel module; the packages in fresh systems of Debian 12
             and 13 (1 GB)
  debug      the same as kernel in guests whose kernel watches itself (KASAN, lockdep, kmemleak ...), but for
             what measures speed or says itself which kernel it runs on; any complaint of a guest's
             kernel is a failure, shown as a whole. And what shows that memory is coherent on
             each of the kernels that only one test has else. Takes some half an hour, and the first
             time a quarter of an hour more to build that kernel

--full adds full to the suites that are named, or to all the others but debug; --long adds debug,
and compile and some tests do more then (GVM_LONG).

What tests need beside the build (guests' kernels, headers, images, a patched QEMU) is fetched and
built before any of them runs: that alone with --prepare. A test fetches nothing. The cache is
GVM_CACHE, else /var/cache/gvm (~/.cache/gvm without root). --fresh begins as a machine does that
has never seen the project, with an empty cache and build folders of its own, all removed at the end.

A second tools/check in the same checkout waits for the first.

The last line is "N passed, N failed, N skipped"; the status is 0 only if none failed. A test may
skip only for something that this machine lacks, named in its output as "skip: FEATURE: reason"
with one of the features listed in FEATURES; where the feature is there, or with CI=true for
anything but hardware, a skip is a failure. --keep leaves the tests' folder in place.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import features
from kernel_log import KernelLog
from leftovers import Watch

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/guest"))

import complaints  # noqa: E402

SUITES = ("unit", "protocol", "ivy", "fuzz", "manual", "system", "kernel")
IN_GUESTS = ("system", "kernel", "full")
ASKED_FOR = ("full", "debug")
BESIDE = ("compile", "sanitized", "full", "debug")  # beside SUITES; but for full no suites of meson's own
UNDER_SANITIZERS = ("unit", "protocol")
# What deliberate faults are noticed by is the same program as without sanitizers; and a model's simulator goes
# through the same sources.
NOT_SANITIZED = ("mutants", "model")
PACKAGES = os.path.join(TOP, "tools/lib/packages")
# How many times its own limit a test may take: on a busy machine, under sanitizers, in guests with the debug kernel.
BUSY, SANITIZED, DEBUG = 4, 8, 8
# How many tests run at a time: one a CPU, at least two, and one more where tests wait for longer than they compute.
AT_A_TIME = max(2, os.cpu_count() or 1)
WAITING = ("system",)
LOG_TAIL = 40  # lines shown of a failed test
PATIENCE = 30  # seconds between two signs of life of a step
OTHER_KERNELS = ("backports", "newest")
# Compilers, and ways to build, that have to do without a warning: name -> (compiler, meson's options).
# gcc at -O2 is how the tests' own build is made; what gcc warns of depends on what its optimiser finds, what
# clang warns of does not. So clang builds everything, once, and the other ways what is installed.
WAYS = {"%s-O%s" % (cc, level): (cc, ["--buildtype=plain", "-Doptimization=" + level])
        for cc, level in (("gcc", "3"), ("gcc", "s"), ("clang", "2"))}
WAYS["lto"] = ("gcc", ["--buildtype=release", "-Db_lto=true"])
WHEN_LONG = ("gcc-Os",)  # nobody is given what is built so
PASSED = ("OK", "EXPECTEDFAIL")


class Result:
    def __init__(self, name, verdict, text="", seconds=0.0, tail=LOG_TAIL):
        self.name, self.verdict, self.text, self.seconds = name, verdict, text, seconds
        self.tail = tail  # lines to show of the text if it failed, or None for all


class Check:
    def __init__(self, suites, folder, run, fresh=False):
        self.suites, self.folder, self.run = suites, folder, run
        self.results, self.ending = [], False
        self.top = folder if fresh else TOP  # where the build folders are
        self.plain = os.path.join(self.top, "build")
        self.env = {**os.environ, "GVM_RUN": run, "TMPDIR": folder,
                    "GVM_PREPARED": os.path.join(folder, "prepared")}
        if fresh:
            self.env["GVM_CACHE"] = os.path.join(folder, "cache")

    def add(self, name, verdict, text="", seconds=0.0, tail=LOG_TAIL):
        self.results.append(Result(name, verdict, text, seconds, tail))
        print("%-4s %-60s %6.1f s" % (verdict, name, seconds), flush=True)

    def command(self, name, *command, env=None):
        """Something that has to work before tests can run: a failure is a failed test."""
        start, said = time.monotonic(), os.path.join(self.folder, name + ".log")
        with open(said, "w+", errors="replace") as log:
            process = subprocess.Popen(command, cwd=TOP, env={**self.env, **(env or {})},
                                       stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT)
            while True:
                try:
                    status = process.wait(PATIENCE)
                    break
                except subprocess.TimeoutExpired:
                    print("...  %-60s %6.1f s so far" % (name, time.monotonic() - start),
                          flush=True)
            log.seek(0)
            self.add(name, "FAIL" if status else "ok", log.read(), time.monotonic() - start)
        return status == 0

    def build(self, name, folder, *options, cc=None, targets=None):
        """A build in which a warning is an error, as it is in no other than this one; of all targets, or of
        those that a function finds in the folder."""
        env = {"CC": cc} if cc else {}
        if not os.path.exists(os.path.join(folder, "build.ninja")):
            shutil.rmtree(folder, ignore_errors=True)
            if not self.command(name + "-configures", "meson", "setup", "--werror", *options, folder,
                                env=env):
                shutil.rmtree(folder, ignore_errors=True)
                return False
        elif not warnings_are_errors(folder) and not self.command(
                name + "-configures", "meson", "configure", "-Dwerror=true", folder):
            return False
        if targets:  # as meson.build has them now
            subprocess.run(["ninja", "-C", folder, "build.ninja"], stdout=subprocess.DEVNULL)
        return self.command(name + "-builds", *(["nice"] if cc else []), "ninja", "-C", folder,
                            *(targets(folder) if targets else []))

    def compile(self):
        """Objects stay for the next run, which compiles what has changed."""
        for way, (cc, options) in WAYS.items():
            if self.ending:
                return
            if way in WHEN_LONG and "GVM_LONG" not in self.env:
                continue
            self.build("compile-" + way, os.path.join(self.top, "build-" + way), *options, cc=cc,
                       targets=installed_targets if cc == "gcc" else None)
        if not self.ending:
            self.command("compile-packages-builds", sys.executable, os.path.join(TOP, "tools/lib/debs.py"),
                         os.path.join(self.top, "build-debian"))

    def prepare(self, suites):
        """What tests of these suites need beside the build: all that is fetched before all else."""
        program = os.path.join(TOP, "tests/guest/prepare.py")
        listed = subprocess.run([program, "--list", *suites], text=True, env=self.env,
                                stdout=subprocess.PIPE, check=True).stdout.split()
        return all([self.command(step, program, "--build", self.plain, step) for step in listed])

    def tests(self, folder, label, suites, options=(), slower=BUSY, env=None):
        base = "check-" + label
        log = os.path.join(folder, "meson-logs", base + ".json")
        if os.path.exists(log):
            os.unlink(log)
        command = ["meson", "test", "-C", folder, "--no-rebuild", "--logbase", base,
                   "--num-processes", str(AT_A_TIME + any(suite in WAITING for suite in suites)),
                   "--timeout-multiplier", str(slower), *options]
        for suite in suites:
            command += ["--suite", suite]
        subprocess.run(command, env={**self.env, "GVM_TEST": "1", "GVM_LIMIT_TIMES": str(slower), **(env or {})},
                       stdin=subprocess.DEVNULL)
        found = 0
        if os.path.exists(log):
            with open(log, errors="replace") as f:
                for line in f:
                    self.judge(json.loads(line), label)
                    found += 1
        if not found:
            self.add("%s:has-tests" % label, "FAIL", "no test of %s ran" % ", ".join(suites))

    def judge(self, test, label):
        name = "%s: %s" % (label, test["name"].partition(" / ")[2] or test["name"])
        text = (test.get("stdout") or "") + (test.get("stderr") or "")
        verdict = "ok" if test["result"] in PASSED else "FAIL"
        if test["result"] == "SKIP":
            allowed, text = features.skip_allowed(text)
            verdict = "skip" if allowed else "FAIL"
        elif test["result"] == "TIMEOUT":
            text += "\n(ran out of time)"
        self.results.append(Result(name, verdict, text, test.get("duration", 0)))

    def everything(self, only_prepare=False):
        wanted = [s for s in (*SUITES, *ASKED_FOR) if s in self.suites]
        beside = threading.Thread(target=self.compile, daemon=True)
        if "compile" in self.suites and not only_prepare:
            beside.start()  # while the network and guests that boot are waited for
        plain = bool(wanted) and self.build("plain", self.plain)
        # Without root their tests skip.
        in_guests = [s for s in wanted if s in (*IN_GUESTS, "debug") and not os.geteuid()]
        if plain and in_guests:
            for suite in [s for s in ASKED_FOR if s in in_guests]:
                if not self.command(suite + "-has-its-packages", "sh", "-c",
                                    '. "$1.sh"; packages_install "$1" "$2"', "sh", PACKAGES, suite):
                    in_guests.remove(suite)
            self.prepare(in_guests)
        if beside.ident:
            beside.join()
        if only_prepare:
            return
        if "sanitized" in self.suites:
            folder = os.path.join(self.top, "build-asan")
            if self.build("sanitized", folder, "-Db_sanitize=address,undefined",
                          "-Db_lundef=false", "-Doptimization=1", targets=sanitized_targets):
                # By itself UBSan reports and goes on, and the test passes.
                self.tests(folder, "sanitized", UNDER_SANITIZERS,
                           [word for suite in NOT_SANITIZED for word in ("--no-suite", suite)], SANITIZED,
                           {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
        if plain:
            quick = [s for s in wanted if s not in (*IN_GUESTS, "debug")]
            if quick:
                self.tests(self.plain, "plain", quick)
            for suite in IN_GUESTS:
                if suite in wanted:
                    self.tests(self.plain, suite, [suite])
            if "debug" in wanted:
                self.debug()

    def debug(self):
        """The suite kernel on it. The tests leave their folders, where the consoles' logs are."""
        for kind in OTHER_KERNELS:
            self.tests(self.plain, "kernel-" + kind, ["coherence"], env={"GVM_GUEST_KERNEL": kind})
        folder = os.path.join(self.folder, "debug")
        os.mkdir(folder)
        self.tests(self.plain, "debug", ["kernel"],
                   ["--no-suite", "speed", "--no-suite", "own-kernel", "--num-processes", "1"], DEBUG,
                   {"GVM_GUEST_KERNEL": "debug", "GVM_KEEP": "1", "TMPDIR": folder})
        found, logs = [], 0
        for place, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                if name.endswith(".log"):
                    logs += 1
                    with open(os.path.join(place, name), errors="replace") as f:
                        found += ["%s, %s:\n%s" % (os.path.basename(place), name, report)
                                  for report in complaints.reports(f.read())]
        if not logs:
            found.append("there is no log of any guest")
        self.add("debug: guests-kernels-do-not-complain", "FAIL" if found else "ok",
                 "\n\n".join(found), tail=None)

    def report(self):
        failed = [r for r in self.results if r.verdict == "FAIL"]
        skipped = [r for r in self.results if r.verdict == "skip"]
        for result in failed:
            print("\n--- %s" % result.name)
            print("\n".join(result.text.rstrip().splitlines()[-(result.tail or 0):]))
        if failed or skipped:
            print()
        for result in skipped:
            print("skipped %s: %s" % (result.name, result.text))
        for result in failed:
            print("FAILED  %s" % result.name)
        print("%d passed, %d failed, %d skipped"
              % (len(self.results) - len(failed) - len(skipped), len(failed), len(skipped)))
        return 1 if failed else 0


def introspect(folder, what):
    said = subprocess.run(["meson", "introspect", what, folder], text=True, stdout=subprocess.PIPE).stdout
    return json.loads(said or "[]")


def warnings_are_errors(folder):
    return any(option["name"] == "werror" and option["value"] for option in introspect(folder, "--buildoptions"))


def installed_targets(folder):
    targets = files_of(folder, lambda target: target["installed"])
    assert targets, "nothing of %s is installed" % folder
    return targets


def sanitized_targets(folder):
    """What the tests start that run under sanitizers."""
    needed = set()
    for test in introspect(folder, "--tests"):
        suites = {suite.rpartition(":")[2] for suite in test["suite"]}
        if suites.intersection(UNDER_SANITIZERS) and not suites.intersection(NOT_SANITIZED):
            needed.update(test["depends"])
    targets = files_of(folder, lambda target: target["id"] in needed)
    assert targets, "no test of %s needs anything" % folder
    return targets


def files_of(folder, wanted):
    return [os.path.relpath(path, folder) for target in introspect(folder, "--targets") if wanted(target)
            for path in target["filename"]]


def alone_in_checkout():
    """The checkout's own lock, held until we end; its folder is the file."""
    lock = os.open(TOP, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another tools/check is at work in this checkout: waiting for its end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def give_back():
    """What root has built belongs to the owner of the checkout: the next build may be his."""
    owner = os.stat(TOP)
    if os.geteuid() or not owner.st_uid:
        return
    for name in os.listdir(TOP):
        if name == "build" or name.startswith("build-"):
            subprocess.run(["chown", "-hR", "%d:%d" % (owner.st_uid, owner.st_gid),
                            os.path.join(TOP, name)])


def main():
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0
    options = {a for a in arguments if a in ("--keep", "--full", "--long", "--fresh", "--prepare")}
    suites = [a for a in arguments if a not in options]
    for suite in suites:
        if suite not in SUITES + BESIDE:
            print("tools/check: no suite %s; see --help" % suite, file=sys.stderr)
            return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    start = time.monotonic()
    lock = None if "--fresh" in options else alone_in_checkout()  # noqa: F841 (held)
    run = "%d-%d" % (os.getpid(), time.time())
    folder = tempfile.mkdtemp(prefix="gvm-check-")
    os.chmod(folder, 0o711)  # tests have programs run by other users, which are in there
    watch, log = Watch(run, folder), KernelLog(run)
    suites = ((suites or [*SUITES, "compile", "sanitized"])
              + (["full"] if "--full" in options else []) + (["debug"] if "--long" in options else []))
    if "--long" in options:
        os.environ["GVM_LONG"] = "1"
    check = Check(suites, folder, run, "--fresh" in options)
    try:
        check.everything("--prepare" in options)
        left = watch.left()
        check.add("leaves-nothing-behind", "FAIL" if left else "ok", "\n".join(left))
        complaints = log.complaints()
        if log.why:
            check.add("kernel-does-not-complain", "skip", log.why)
        else:
            check.add("kernel-does-not-complain", "FAIL" if complaints else "ok",
                      "\n\n".join(complaints))
    finally:
        check.ending = True
        watch.clear()
        give_back()
        if "--keep" not in options:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n%d s in all" % (time.monotonic() - start))
    return check.report()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: what was running has been ended", file=sys.stderr)
        sys.exit(130)
