# SPDX-License-Identifier: GPL-2.0-or-later
"""Complaints of the kernel during a run: what /dev/kmsg says after the run began."""

import os
import re

COMPLAINT = re.compile(r"BUG:|WARNING:|Oops|blocked for more than|soft lockup|hung task|"
                       r"general protection fault|self-detected stall|Bad page|kernel BUG")
OURS = re.compile(r"fuse|gvm|qemu|mm/|filemap|folio|page|writeback|io_uring|cgroup|swap|giantvm")
FOLLOWS = 60  # lines of a complaint that are looked at for what it is about


class KernelLog:
    def __init__(self):
        self.fd, self.why = None, None
        try:
            self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self.fd, 0, os.SEEK_END)
        except OSError as why:
            self.why = "/dev/kmsg: %s" % why.strerror

    def lines(self):
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
        lines, found, i = self.lines(), [], 0
        while i < len(lines):
            if COMPLAINT.search(lines[i]):
                block = lines[i:i + FOLLOWS]
                end = next((n for n, line in enumerate(block) if "---[ end trace" in line), None)
                block = block[:end + 1 if end is not None else FOLLOWS]
                if any(OURS.search(line) for line in block):
                    found.append("\n".join(block))
                i += len(block)
            else:
                i += 1
        return found
