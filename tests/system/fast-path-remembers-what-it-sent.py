#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that was sent, also one that came into the memory while its chunk waited to be sent, is sent
again when it is zero again."""

import lab
from lab import expect
from stray import cleared_page, stray_page


def test(l):
    for page in cleared_page(l), stray_page(l):
        expect(not any(page), "the node has a page that begins with %s", page[:16].hex())


lab.main(test)
