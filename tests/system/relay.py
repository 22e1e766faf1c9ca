#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Passes TCP connections on, so that a test can break the way of one client alone, or make it long: from SIGUSR1
to SIGUSR2 what the target sends arrives LATE seconds later.

    relay.py TARGET-PORT [PORT [LATE]]
"""

import queue
import signal
import socket
import sys
import threading
import time

late = 0.0


def set_late(seconds):
    global late
    late = seconds


class Later:
    """Sends in order, each piece when it is due."""

    def __init__(self, sink):
        self.sink, self.pieces = sink, queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            due, data = self.pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    self.sink.shutdown(socket.SHUT_RDWR)
                    return
                self.sink.sendall(data)
            except OSError:
                return

    def sendall(self, data):
        self.pieces.put((time.monotonic() + late, data))

    def shutdown(self, _):
        self.pieces.put((0.0, b""))


def pump(source, sink):
    try:
        while True:
            data = source.recv(1 << 17)
            if not data:
                break
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    target = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    longest = float(sys.argv[3]) if len(sys.argv) > 3 else 5.0
    signal.signal(signal.SIGUSR1, lambda *_: set_late(longest))
    signal.signal(signal.SIGUSR2, lambda *_: set_late(0.0))
    print("relay on %d" % listener.getsockname()[1], flush=True)
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", target))
        except OSError:
            near.close()
            continue
        for s in (near, far):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=(near, far), daemon=True).start()
        threading.Thread(target=pump, args=(far, Later(near)), daemon=True).start()


if __name__ == "__main__":
    main()
