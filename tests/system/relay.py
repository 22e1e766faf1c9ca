#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Passes TCP connections on, so that a test can break the way of one client alone.

    relay.py TARGET-PORT [PORT]
"""

import socket
import sys
import threading


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
        threading.Thread(target=pump, args=(far, near), daemon=True).start()


if __name__ == "__main__":
    main()
