#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""To a shell, a service manager or libvirt, `gvm run` with a QEMU behind it behaves as that QEMU alone:
the terminal's ^C, ^Z and fg, its input, signals to the one process that was started, and the exit
status. What only asks QEMU something is answered by QEMU, without a mount, also over the monitor by which libvirt asks;
-daemonize of a guest is refused with the reason."""

import os
import pty
import signal
import sys

import lab
from lab import descendants, expect, program, wait_for
from monitor import Monitor
from qtest import Qtest
from remote import Mount, Node

QEMU = "qemu-system-x86_64"

# A shell with one job, its first argument the place for its notes: the job is in the foreground; when
# it stops the shell notes that, and lets it go on when the file "fg" is there.
SHELL = """
import os, signal, sys, time
notes, command = sys.argv[1], sys.argv[2:]
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def note(text):
    with open(notes, "a") as f:
        f.write(text + chr(10))
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(command[0], command)
note("pid %d" % pid)
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    note("stopped")
    while not os.path.exists(notes + ".fg"):
        time.sleep(0.02)
    os.unlink(notes + ".fg")
    os.tcsetpgrp(0, pid)
    os.killpg(pid, signal.SIGCONT)
note("status %d" % os.waitstatus_to_exitcode(status))
"""


def command(l, mount, name, launched, *more):
    qemu = [QEMU, "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none", "-device",
            "isa-debug-exit,iobase=0xf4", "-qtest", "unix:%s,server=on,wait=off" % l.path(name),
            "-qtest-log", "none", *more]
    return [program("gvm"), "run", "--local", "16M", "--mount", mount.path, "--", *qemu] if launched else qemu


def states(pid):
    """Of the process and all below it, by the names of the programs that matter."""
    return {name: lab._stat(at)[1] for at, name in [(pid, "it"), *descendants(pid).items()]
            if lab._stat(at) and (name == "it" or name.startswith("qemu"))}


def all_are(pid, wanted):
    found = states(pid)
    return found and all((state == "T") == wanted for state in found.values())


class Terminal:
    def __init__(self, l, name, words):
        self.notes = l.path(name + ".notes")
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(sys.executable, [sys.executable, "-c", SHELL, self.notes, *words])
        os.set_blocking(self.master, False)
        self.shown = b""

    def noted(self, text):
        def look():
            self.read()
            return os.path.exists(self.notes) and [line for line in open(self.notes) if line.startswith(text)]
        return wait_for("the shell notes '%s'" % text, look)[-1].split()[-1]

    def read(self):
        try:
            self.shown += os.read(self.master, 65536)
        except OSError:
            pass

    def shows(self, text):
        def look():
            self.read()
            return text in self.shown
        wait_for("the terminal shows %s: %s" % (text, self.shown[-200:]), look)

    def type(self, data):
        os.write(self.master, data)

    def running(self):
        return True

    def end(self):
        os.waitpid(self.pid, 0)
        os.close(self.master)


def in_a_terminal(l, mount, launched):
    name = "tty-%d" % launched
    terminal = Terminal(l, name, command(l, mount, name, launched, "-monitor", "stdio"))
    pid = int(terminal.noted("pid"))
    terminal.shows(b"(qemu)")
    terminal.type(b"info status\n")
    terminal.shows(b"VM status: running")
    for _ in range(2):
        terminal.type(b"\x1a")
        terminal.noted("stopped")
        wait_for("all are stopped", lambda: all_are(pid, True))
        open(terminal.notes + ".fg", "w").close()
        wait_for("all go on", lambda: all_are(pid, False))
        terminal.shown = b""
        terminal.type(b"info status\n")
        terminal.shows(b"VM status: running")
    terminal.type(b"\x03")
    status = terminal.noted("status")
    terminal.end()
    return status


def by_signals(l, mount, launched):
    statuses = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL, None):
        name = "signal-%s-%d" % (number, launched)
        # A process group of its own, with a parent outside of it: SIGTSTP does not stop an orphaned one.
        run = l.start("gvm-run" if launched else "qemu", *command(l, mount, name, launched), group=0)
        qtest = Qtest(run, l.path(name))
        qtest.do("read", 0, 1)  # it answers in its main loop: by then it minds signals itself
        qemu = [pid for pid, said in descendants(run.pid).items() if said.startswith("qemu")] or [run.pid]
        if number == signal.SIGTERM:
            stop_and_go_on(run)
        if number is None:
            qtest.file.write("outb 0xf4 0x15\n")
            qtest.file.flush()
        elif number == signal.SIGKILL:
            os.kill(qemu[0], number)
        else:
            run.signal(number)
        status = run.wait(30)
        statuses.append(status if status >= 0 else 128 - status)
    return statuses


def stop_and_go_on(run):
    run.signal(signal.SIGTSTP)
    wait_for("all are stopped: %s" % states(run.pid), lambda: all_are(run.pid, True))
    run.signal(signal.SIGCONT)
    wait_for("all go on", lambda: all_are(run.pid, False))


def questions(l):
    """Nothing of gvm is there: no mount, no line of ours."""
    for words in (["-version"], ["-machine", "help"], ["-device", "virtio-net-pci,help"], ["-no-such-option", "-help"],
                  ["-machine", "none,accel=tcg", "-cpu", "no-such-cpu", "-smp", "0"]):
        plain = l.run(QEMU, *words, status=None)
        ours = l.run(program("gvm"), "run", "--local", "16M", "--mount", l.path("nowhere"), "--", QEMU, *words,
                     status=None)
        expect(plain == ours, "%s: QEMU says %s, under gvm run %s", words, plain[:200], ours[:200])


def asked_by_libvirt(l, launched):
    """What a QEMU is able to do, as libvirt asks of an emulator before it starts any guest."""
    qmp, pid = l.path("probe-%d.qmp" % launched), l.path("probe-%d.pid" % launched)
    l.run(*([program("gvm"), "run", "--local", "2G", "--mount", l.path("nowhere"), "--"] if launched else []), QEMU, "-S",
          "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=kvm:tcg", "-qmp",
          "unix:%s,server=on,wait=off" % qmp, "-pidfile", pid, "-daemonize")
    monitor = Monitor(qmp)
    said = [monitor.do(question) for question in ("query-version", "query-machines", "query-commands", "query-cpu-definitions")]
    said.append(monitor.do("qom-list-types", implements="device", abstract=False))
    with open(pid) as f:
        pid = int(f.read())
    expect(pid in descendants(), "the file has another pid: %d", pid)
    os.kill(pid, signal.SIGTERM)
    wait_for("it ends", lambda: pid not in descendants())
    return said


def test(l):
    questions(l)
    expect(asked_by_libvirt(l, False) == asked_by_libvirt(l, True), "libvirt is told something else")
    mount = Mount(l, [Node(l, "64M")])
    for what in (in_a_terminal, by_signals):
        plain, ours = what(l, mount, False), what(l, mount, True)
        expect(plain == ours, "%s: QEMU alone ends with %s, under gvm run with %s", what.__name__, plain, ours)
        l.log("%s: %s", what.__name__, ours)
    said = l.run(*command(l, mount, "daemon", True, "-daemonize"), status=1)
    expect("-daemonize" in said and "background" in said, "it says %s", said)
    expect(not os.listdir(mount.path), "left: %s", os.listdir(mount.path))


lab.main(test)
