# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's monitor, by its machine protocol (QMP)."""

import json
import socket

from lab import expect


class Monitor:
    """A connection to one, with the greeting done."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")
        self.events = []  # that came before answers
        json.loads(self.file.readline())
        self.do("qmp_capabilities")

    def tell(self, command, **arguments):
        """Waits for no answer."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()

    def do(self, command, **arguments):
        self.tell(command, **arguments)
        while True:
            answer = json.loads(self.file.readline())
            if "return" in answer:
                return answer["return"]
            expect("error" not in answer, "%s: %s", command, answer)
            self.events.append(answer)
