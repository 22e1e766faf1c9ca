# SPDX-License-Identifier: GPL-2.0-or-later
"""Complaints of the kernel during a run: what /dev/kmsg says after the run began, and is not about a
process of another run on this machine. So it is read while the processes that it names still live."""

import os
import re
import threading

import leftovers

COMPLAINT = re.compile(r"BUG:|WARNING:|Oops|blocked for more than|soft lockup|hung task|"
                       r"general protection fault|self-detected stall|Bad page|kernel BUG")
OURS = re.compile(r"fuse|gvm|qemu|mm/|filemap|folio|page|writeback|io_uring|cgroup|swap|giantvm")
NAMED = re.compile(r"\bPID: (\d+)|\btask \S+:(\d+) blocked|\b\S+\[(\d+)\]")
EVERY = 0.5  # seconds
FOLLOWS = 60  # lines of a complaint that are looked at for what it is about


class KernelLog:
    def __init__(self, run):
        self.run, self.fd, self.why = run, None, None
        self.said, self.runs = [], {}  # lines; pid -> the run that it is known to be of
        self.lock, self.ended = threading.Lock(), threading.Event()
        try:
            self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self.fd, 0, os.SEEK_END)
        except OSError as why:
            self.why = "/dev/kmsg: %s" % why.strerror
            return
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        while not self.ended.wait(EVERY):
            self._read()

    def _read(self):
        with self.lock:
            for line in self._new_lines():
                self.said.append(line)
                for pid in self._pids(line):
                    self.runs[pid] = leftovers.run_of(pid) or self.runs.get(pid)

    @staticmethod
    def _pids(line):
        return [int(next(filter(None, found))) for found in NAMED.findall(line)]

    def _is_anothers(self, block):
        """Names a process, and each that it names is of another run."""
        runs = {self.runs.get(pid) for line in block for pid in self._pids(line)}
        return bool(runs) and not runs & {None, self.run}

    def _new_lines(self):
        found = []
        while self.fd is not None:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BrokenPipeError:
                continue  # overwritten before we came to it
            except OSError:
                break
            found.append(record.partition(";")[2].splitlines()[0] if ";" in record else record)
        return found

    def complaints(self):
        self._read()
        self.ended.set()
        lines, found, i = self.said, [], 0
        while i < len(lines):
            if COMPLAINT.search(lines[i]):
                block = lines[i:i + FOLLOWS]
                end = next((n for n, line in enumerate(block) if "---[ end trace" in line), None)
                block = block[:end + 1 if end is not None else FOLLOWS]
                if any(OURS.search(line) for line in block) and not self._is_anothers(block):
                    found.append("\n".join(block))
                i += len(block)
            else:
                i += 1
        return found
