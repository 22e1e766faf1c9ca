#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm top shows regions and nodes as they are, in 80 columns and 24 lines and in any other size that the terminal is given
meanwhile; its keys do what its last line says; q, Ctrl-C and SIGTERM leave the terminal as it was; a gvmfs that stands still
holds up no key; as plain text the same is printed as often as was asked for."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import xml.etree.ElementTree

import lab
from lab import children, expect, program, wait_for
from remote import Mount, Node


class Screen:
    """A terminal as ncurses uses it for TERM=linux: what is on it, by moving the cursor, erasing and scrolling."""

    def __init__(self, l, *words, size=(24, 80)):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.resize(*size)
        self.popen = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                      env={**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8"},
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.raw = b""
        l.screens = getattr(l, "screens", []) + [self]

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.rows, self.columns, self.at = rows, columns, (0, 0)
        self.cells = [[" "] * columns for _ in range(rows)]

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.raw += data
        self._play()

    def _erase(self, row, first, last):
        for column in range(max(first, 0), min(last, self.columns)):
            self.cells[row][column] = " "

    def _play(self):
        text = self.raw.decode("utf-8", "replace")
        done = 0
        for token in re.finditer(r"\x1b\[([?>]?)([\d;]*)([A-Za-z@`])|\x1b[()][\w]|\x1b[78=>DMEc]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\x1b]",
                                 text):
            if token.start() != done:
                break  # the rest of a sequence is still to come
            done = token.end()
            self._one(token)
        self.raw = text[done:].encode("utf-8", "replace")

    def _one(self, token):
        row, column = self.at
        final = token.group(3)
        numbers = [int(n) if n else 0 for n in (token.group(2) or "").split(";")]
        n = max(numbers[0], 1)
        if final is None:
            c = token.group(0)
            if c == "\r":
                column = 0
            elif c == "\n":
                row = min(row + 1, self.rows - 1)
            elif c == "\b":
                column = max(column - 1, 0)
            elif len(c) == 1 and c >= " ":
                if column >= self.columns:
                    row, column = min(row + 1, self.rows - 1), 0
                self.cells[row][column] = c
                column += 1
        elif token.group(1):
            pass
        elif final in "Hf":
            numbers += [1] * (2 - len(numbers))
            row, column = min(max(numbers[0], 1), self.rows) - 1, min(max(numbers[1], 1), self.columns) - 1
        elif final in "A":
            row = max(row - n, 0)
        elif final in "B":
            row = min(row + n, self.rows - 1)
        elif final == "C":
            column = min(column + n, self.columns - 1)
        elif final == "D":
            column = max(column - n, 0)
        elif final in "G`":
            column = min(n, self.columns) - 1
        elif final == "d":
            row = min(n, self.rows) - 1
        elif final == "K":
            self._erase(row, 0 if numbers[0] else column, column + 1 if numbers[0] == 1 else self.columns)
        elif final == "X":
            self._erase(row, column, column + n)
        elif final == "J":
            for each in range(row + 1 if not numbers[0] else 0, self.rows):
                self._erase(each, 0, self.columns)
            self._erase(row, column if not numbers[0] else 0, self.columns)
        elif final == "P":
            self.cells[row] = (self.cells[row][:column] + self.cells[row][column + n:] + [" "] * n)[:self.columns]
        elif final == "@":
            self.cells[row] = (self.cells[row][:column] + [" "] * n + self.cells[row][column:])[:self.columns]
        elif final in "LM":
            lines = self.cells[row:]
            blank = [[" "] * self.columns for _ in range(min(n, len(lines)))]
            self.cells[row:] = (blank + lines)[:len(lines)] if final == "L" else (lines[n:] + blank)[:len(lines)]
        self.at = (row, column)

    def text(self):
        self.read()
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def shows(self, pattern, seconds=20):
        def look():
            found = re.search(pattern, self.text(), re.M)
            expect(found or self.popen.poll() is None, "it ended with status %s:\n%s", self.popen.poll(), self.text())
            return found
        try:
            return wait_for("the screen shows '%s'" % pattern, look, seconds)
        except lab.Failure:
            print(self.text())
            raise

    def key(self, keys):
        os.write(self.master, keys)

    def gives_back(self):
        """The terminal is as it was. (A process ends only when gvmfs has answered what it has read already.)"""
        def same():
            self.read()  # or it would wait until somebody does
            return termios.tcgetattr(self.slave) == self.before
        wait_for("the terminal is given back", same)

    def ends(self, status=0):
        def ended():
            self.read()  # or it would wait until somebody does
            return self.popen.poll() is not None
        wait_for("gvm top ends", ended)
        expect(self.popen.returncode == status, "status %s:\n%s", self.popen.returncode, self.text())
        after = termios.tcgetattr(self.slave)
        expect(after == self.before, "the terminal is left as %s, was %s", after, self.before)
        os.close(self.slave)
        os.close(self.master)


def top(l, mount, *words, **options):
    return Screen(l, program("gvm"), "top", "--interval", "0.2", *words, mount.path, **options)


def keys_and_sizes(l, mount, node):
    screen = top(l, mount)
    screen.shows(r"^gvm top ")
    screen.shows(r"^ram +16M +[\d.]+[KM] +4\.0M +[1-9][\d.k]* +[\d.]+ [um]?s +[\d.]+ [um]?s .* fast$")
    screen.shows(r"^%s +connected +\d+M +[\d.]+[KM] +\d+M +\d\.\d\d +[\d.]+ [um]?s +[\d.]+[kM]? +[\d.]+[kM]?$" % re.escape(node.address))
    screen.shows(r"^a\?b  .*open$")  # a name that would move the cursor
    screen.shows(r"^q quit .*Enter look at it$")
    expect(all(len(line) <= 80 for line in screen.text().splitlines()), "wider than the terminal:\n%s", screen.text())
    screen.key(b"s")
    screen.shows(r"sorted by faults")
    screen.shows(r"^ram .*\n^a\?b")  # the busy one first
    screen.key(b"j\n")
    screen.shows(r"^ram\n.*16 MiB, .* here of at most 4 MiB")
    screen.shows(r"fault +[1-9]\d* +[\d.]+ [um]?s +[\d.]+ [um]?s +[1-9]\d* +[\d.]+ [um]?s")
    screen.shows(r"written back, as sent +[1-9][\d.]*[KM]?/s")
    screen.key(b"q")
    screen.shows(r"^NODE ")
    for rows, columns in ((50, 160), (8, 40), (3, 10), (24, 80)):
        screen.resize(rows, columns)
        screen.shows(r"^gvm top " if columns > 20 else r"^gvm top")
        if rows > 20:
            screen.shows(r"^ram .*fast$")
            screen.shows(r"^q quit", 20)
            expect(screen.text().splitlines()[rows - 1].startswith("q quit"), "not in the last line:\n%s", screen.text())
    screen.key(b"q")
    screen.ends()


def ends_by_signals(l, mount):
    for end in (lambda screen: screen.key(b"\x03"), lambda screen: screen.popen.send_signal(signal.SIGTERM)):
        screen = top(l, mount)
        screen.shows(r"^NODE ")
        end(screen)
        screen.ends()


def stands_still(l, mount):
    screen = top(l, mount)
    screen.shows(r"^NODE ")
    stopped = [mount.process.pid, *children(mount.process.pid)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        screen.shows(r"NO ANSWER for \d+ s")
        screen.key(b"s")
        screen.shows(r"sorted by faults")
        screen.key(b"q")
        screen.gives_back()
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
    screen.ends()


def plain(l, mount, node):
    said = l.run(program("gvm"), "top", "--batch", "2", "--interval", "0.5", "--sort", "faults", mount.path)
    expect(said.count("REGION ") == said.count("NODE ") == 2 and "\x1b" not in said, "%s", said)
    expect(re.search(r"^ram .* fast$", said, re.M) and re.search(r"^%s +connected +\d+M" % re.escape(node.address), said, re.M),
           "%s", said)
    expect("no terminal" in l.run(program("gvm"), "top", status=2), "it draws on a file")
    expect("not a number" in l.run(program("gvm"), "top", "--batch", "0", status=2), "no times")
    l.run(program("gvm"), "top", "--batch", "1", "--interval", "0.1", l.folder, status=1)


def drawn(l, mount):
    """As a picture: the same lines, each as long as its characters are."""
    path = l.path("top.svg")
    l.run(program("gvm"), "top", "--svg", path, "--interval", "0.5", mount.path)
    lines = [element for element in xml.etree.ElementTree.parse(path).getroot() if element.tag.endswith("text")]
    said = "\n".join(line.text for line in lines)
    expect(re.search(r"^REGION .* STATE$", said, re.M) and re.search(r"^ram .* fast$", said, re.M), "%s", said)
    expect(all(abs(float(line.get("textLength")) - 8.4 * len(line.text)) < 0.1 for line in lines), "its columns are askew")
    l.run(program("gvm"), "top", "--svg", path, "--batch", "1", mount.path, status=2)
    l.run(program("gvm"), "top", "--svg", l.path("no/top.svg"), "--interval", "0.1", mount.path, status=1)


def test(l):
    node = Node(l, "128M")
    mount = Mount(l, [node])
    path = mount.region("ram", 16 << 20)
    mount.budget("ram", 4 << 20)
    reader = open(mount.region("a\tb", 1 << 20), "rb")
    guest = l.start("guest", program("torture-fast"), "--alone", "--file", path, "--disk", l.path("disk"), "--shadow",
                    l.path("shadow"), "--seconds", "300")
    try:
        wait_for("faults that waited", lambda: mount.stats("ram")["chunks_fetched"] > 50)
        keys_and_sizes(l, mount, node)
        ends_by_signals(l, mount)
        plain(l, mount, node)
        drawn(l, mount)
        stands_still(l, mount)
    finally:
        reader.close()
        for screen in getattr(l, "screens", []):
            if screen.popen.poll() is None:
                screen.popen.kill()
                screen.popen.wait()
    guest.signal(signal.SIGKILL)
    guest.wait(20)


lab.main(test)
