# SPDX-License-Identifier: GPL-2.0-or-later
"""A picture that a browser made (PNG, 8 bits a sample), for tests that look at it."""

import struct
import zlib


def colours(path):
    """{(red, green, blue): pixels}."""
    with open(path, "rb") as f:
        data = f.read()
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and depth == 8 and kind in (2, 6), "a PNG of another kind: %s" % data[:32]
    packed, at = b"", 8
    while at < len(data):
        size, = struct.unpack_from(">I", data, at)
        if data[at + 4:at + 8] == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += size + 12
    rows, each = zlib.decompress(packed), 3 if kind == 2 else 4
    line, found, before = width * each, {}, bytearray(width * each)
    for row in range(height):
        start = row * (line + 1)
        how, now = rows[start], bytearray(rows[start + 1:start + 1 + line])
        for i in range(line if how else 0):
            left, up, corner = now[i - each] if i >= each else 0, before[i], before[i - each] if i >= each else 0
            if how == 4:
                guess = left + up - corner
                near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            else:
                near = (0, left, up, (left + up) // 2)[how]
            now[i] = (now[i] + near) & 255
        for i in range(0, line, each):
            pixel = tuple(now[i:i + 3])
            found[pixel] = found.get(pixel, 0) + 1
        before = now
    return found
