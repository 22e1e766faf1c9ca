# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's memory, read and written through QEMU's qtest socket
(-qtest unix:PATH,server=on,wait=off -qtest-log none), whether its CPUs run or not."""

import socket

from lab import Failure, expect, wait_for


class Qtest:
    def __init__(self, process, path):
        self.process = process
        self.socket = wait_for("QEMU listens at " + path, lambda: self._connect(path))
        self.file = self.socket.makefile("rw")

    def _connect(self, path):
        expect(self.process.running(), "it ended with status %s:\n%s", self.process.popen.returncode,
               self.process.log())
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            return None

    def do(self, *words):
        self.file.write(" ".join(map(str, words)) + "\n")
        self.file.flush()
        try:
            answer = self.file.readline().strip()
        except OSError as why:
            raise Failure("qtest %s: %s" % (words, why)) from None
        expect(answer.startswith("OK"), "qtest %s: %s", words, answer[:80])
        return answer[3:]

    def fill(self, address, length, byte):
        self.do("memset", hex(address), length, hex(byte))

    def expect(self, address, length, byte):
        said = self.do("read", hex(address), length)
        expect(said == "0x" + "%02x" % byte * length, "memory at 0x%x is %s…, not %02x", address, said[:20],
               byte)
