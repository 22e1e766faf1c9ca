# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds and tests everything.

usage: tools/check [--help] [--keep] [--long] [SUITE...]

Suites (all of them but debug if none is named):
  sanitized  unit and protocol tests under ASan and UBSan
  unit       pure code
  protocol   a real node and a real client
  ivy        the kernel mode's coherence protocol: model check, simulator, mutants
  fuzz       codec and parsers under libFuzzer, for a bounded time
  manual     every program's --help against its man page
  system     mounts, guests, broken networks; needs root
  kernel     the kernel module, in guests of their own
  debug      the same in guests whose kernel watches itself (KASAN, lockdep, kmemleak ...), but for
             what measures speed or says itself which kernel it runs on; any complaint of a guest's
             kernel is a failure, shown as a whole. Takes some 25 minutes, and the first time
             a quarter of an hour more to build that kernel

--long adds debug to the suites that are named, or to all the others.

The last line is "N passed, N failed, N skipped"; the status is 0 only if none failed. A test may
skip only for something that this machine lacks, named in its output as "skip: FEATURE: reason"
with one of the features listed in FEATURES; where the feature is there, or with CI=true for
anything but hardware, a skip is a failure. --keep leaves the tests' folder in place.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import features
from kernel_log import KernelLog
from leftovers import Watch

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/guest"))

import complaints  # noqa: E402

BUILD = os.path.join(TOP, "build")
SANITIZED = os.path.join(TOP, "build-asan")
SUITES = ("unit", "protocol", "ivy", "fuzz", "manual", "system", "kernel")
IN_GUESTS = ("system", "kernel")
BESIDE = ("sanitized", "debug")  # suites of these again, in another way
UNDER_SANITIZERS = ("unit", "protocol")
PACKAGES = os.path.join(TOP, "tools/lib/packages")
SLOWER = 5  # times that a test in guests with the debug kernel may take as long
LOG_TAIL = 40  # lines shown of a failed test
PASSED = ("OK", "EXPECTEDFAIL")


class Result:
    def __init__(self, name, verdict, text="", seconds=0.0, tail=LOG_TAIL):
        self.name, self.verdict, self.text, self.seconds = name, verdict, text, seconds
        self.tail = tail  # lines to show of the text if it failed, or None for all


class Check:
    def __init__(self, suites, folder, run):
        self.suites, self.folder, self.run = suites, folder, run
        self.results = []
        self.env = {**os.environ, "GVM_RUN": run, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1",
                    "LC_ALL": "C.UTF-8"}

    def add(self, name, verdict, text="", seconds=0.0, tail=LOG_TAIL):
        self.results.append(Result(name, verdict, text, seconds, tail))
        print("%-4s %-60s %6.1f s" % (verdict, name, seconds), flush=True)

    def command(self, name, *command):
        """Something that has to work before tests can run: a failure is a failed test."""
        start = time.monotonic()
        done = subprocess.run(command, cwd=TOP, env=self.env, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.add(name, "FAIL" if done.returncode else "ok", done.stdout,
                 time.monotonic() - start)
        return done.returncode == 0

    def build(self, name, folder, *options):
        fresh = not os.path.exists(os.path.join(folder, "build.ninja"))
        if fresh and not self.command(name + "-configures", "meson", "setup", *options, folder):
            shutil.rmtree(folder, ignore_errors=True)
            return False
        return self.command(name + "-builds", "ninja", "-C", folder)

    def qemu_begin(self):
        """The patched QEMU, in the background: minutes where the cache has none, else no time."""
        log = open(os.path.join(self.folder, "qemu-build.log"), "w+")
        return subprocess.Popen(["nice", os.path.join(TOP, "qemu/build")], env=self.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log), log

    def qemu_end(self, process, log):
        start = time.monotonic()
        status = process.wait()
        log.seek(0)
        self.add("patched-qemu-builds", "FAIL" if status else "ok", log.read(),
                 time.monotonic() - start)
        log.close()
        return status == 0

    def tests(self, folder, label, suites, options=(), env=None):
        base = "check-" + label
        log = os.path.join(folder, "meson-logs", base + ".json")
        if os.path.exists(log):
            os.unlink(log)
        command = ["meson", "test", "-C", folder, "--no-rebuild", "--logbase", base,
                   "--num-processes", str(max(2, os.cpu_count() or 1)), *options]
        for suite in suites:
            command += ["--suite", suite]
        subprocess.run(command, env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL)
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

    def everything(self):
        wanted = [s for s in (*SUITES, "debug") if s in self.suites]
        qemu = self.qemu_begin() if "system" in wanted else None
        if "sanitized" in self.suites:
            if self.build("sanitized", SANITIZED, "-Db_sanitize=address,undefined",
                          "-Db_lundef=false", "-Doptimization=1"):
                self.tests(SANITIZED, "sanitized", UNDER_SANITIZERS)
        if wanted and self.build("plain", BUILD):
            quick = [s for s in wanted if s not in (*IN_GUESTS, "debug")]
            if quick:
                self.tests(BUILD, "plain", quick)
            if "system" in wanted and all([self.images(), self.qemu_end(*qemu)]):
                self.tests(BUILD, "system", ["system"])
            if "kernel" in wanted:
                self.tests(BUILD, "kernel", ["kernel"])
            if "debug" in wanted and self.debug_kernel():
                self.debug()

    def images(self):
        """The guests' images, and what runs them, which takes a boot to find out."""
        return all([self.command("guest-image-%s-builds" % flavour, "tests/guest/image.py",
                                 flavour, "--build", BUILD)
                    for flavour in ("fill", "workload", "gvmfs", "nested")]
                   + [self.command("accelerator-is-chosen", "tests/guest/accel.py", "fill")])

    def debug_kernel(self):
        """Here, what it takes to build that kernel, which nothing else needs; then the kernel."""
        return (self.command("debug-kernel-has-its-packages", "sh", "-c",
                             '. "$1.sh"; packages_install "$1" debug', "sh", PACKAGES)
                and self.command("debug-kernel-builds", "nice", "tests/guest/debug_kernel.py"))

    def debug(self):
        """The suite kernel on it. The tests leave their folders, where the consoles' logs are."""
        folder = os.path.join(self.folder, "debug")
        os.mkdir(folder)
        self.tests(BUILD, "debug", ["kernel"],
                   ["--no-suite", "speed", "--no-suite", "own-kernel",
                    "--timeout-multiplier", str(SLOWER), "--num-processes", "1"],
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


def main():
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0
    keep, beyond = "--keep" in arguments, "--long" in arguments
    suites = [a for a in arguments if a not in ("--keep", "--long")]
    for suite in suites:
        if suite not in SUITES + BESIDE:
            print("tools/check: no suite %s; see --help" % suite, file=sys.stderr)
            return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    start = time.monotonic()
    run = "%d-%d" % (os.getpid(), time.time())
    folder = tempfile.mkdtemp(prefix="gvm-check-", dir="/tmp")
    watch, log = Watch(run, folder), KernelLog()
    suites = (suites or [*SUITES, "sanitized"]) + (["debug"] if beyond else [])
    check = Check(suites, folder, run)
    try:
        check.everything()
        left = watch.left()
        check.add("leaves-nothing-behind", "FAIL" if left else "ok", "\n".join(left))
        complaints = log.complaints()
        if log.why:
            check.add("kernel-does-not-complain", "skip", log.why)
        else:
            check.add("kernel-does-not-complain", "FAIL" if complaints else "ok",
                      "\n\n".join(complaints))
    finally:
        watch.clear()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n%d s in all" % (time.monotonic() - start))
    return check.report()


if __name__ == "__main__":
    sys.exit(main())
