# SPDX-License-Identifier: GPL-2.0-or-later
"""A way to a node on which requests of a kind, or the answers to them, wait until the test lets them on: so that a
worker can be killed with one node asked and another not, or with an answer on its way."""

import struct
import threading

from way import Way

HEADER = struct.Struct("<IBBBBHHI24x")  # memnode/PROTOCOL.md
OP = {"create": 32, "resize": 35, "name": 16, "put": 49, "get": 48, "discard": 50}
RESPONSE = 1


class Gate(Way):
    """shut() holds frames from then on; open() lets them go, and drop() ends the connections that have one. What comes
    behind a held frame on its connection waits with it. `both`: once it holds an answer, it holds requests of that kind, too."""

    def __init__(self, node):
        self.what = None
        self.turn = threading.Condition()
        self.held, self.epoch, self.later, self.both = 0, 0, 0, False
        super().__init__(node)

    def shut(self, op, answers=False, after=0, both=False):
        """after: so many of them go on first."""
        with self.turn:
            self.what, self.held, self.later, self.both = (OP[op], answers), 0, after, both

    def open(self):
        with self.turn:
            self.what = None
            self.turn.notify_all()

    def drop(self):
        with self.turn:
            self.what = None
            self.epoch += 1
            self.turn.notify_all()

    def _is_shut(self, op, answer):
        return self.what == (op, answer) or (self.both and self.held and not answer and self.what == (op, True))

    def _pass(self, op, answer):
        """Waits if need be; false: the frame is not to go on."""
        with self.turn:
            if not self._is_shut(op, answer):
                return True
            if self.later:
                self.later -= 1
                return True
            epoch = self.epoch
            self.held += 1
            self.turn.wait_for(lambda: self.epoch != epoch or not self._is_shut(op, answer))
            return self.epoch == epoch

    def carry(self, source, sink, answers):
        stream = source.makefile("rb")
        while True:
            header = stream.read(HEADER.size)
            if len(header) < HEADER.size:
                break
            _, _, op, flags, _, _, meta, data = HEADER.unpack(header)
            rest = stream.read(meta + data)
            if not self._pass(op, bool(flags & RESPONSE)):
                break
            sink.sendall(header + rest)
