#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A browser (headless Chromium) that opens the page of gvm metrics shows the mount, its regions with their rates and its nodes,
whatever they are called, and the map of a region; a moment later it shows what has changed. For tools/check --full."""

import os
import re
import shutil

import lab
from lab import expect, program, wait_for
from remote import Mount, Node
import picture

PORT = 9478
URL = "http://127.0.0.1:%d/" % PORT
EVIL = "<img src=x onerror=alert(1)> & \"more\""
HERE, NODES = (0x2c, 0xa0, 0x2c), (0x1f, 0x77, 0xb4)  # colours of gvm map


def browse(l, *options):
    """Until some answers have come; time runs faster in there while it waits for nothing."""
    return l.run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--user-data-dir=" + l.path("profile"), "--window-size=1100,1400", "--hide-scrollbars", "--virtual-time-budget=7000",
                 "--run-all-compositor-stages-before-draw", *options, URL, seconds=120)


def row_of(dom, name):
    """The cells of the row that begins with it."""
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", dom, re.S)]
    found = [[re.sub(r"<.*?>", "", cell) for cell in row] for row in rows if row and name in row[0]]
    expect(len(found) == 1, "rows of %s: %s", name, found)
    return found[0]


def test(l):
    mount = Mount(l, [Node(l, "256M")])
    mount.region(EVIL, 1 << 20)
    path = mount.region("ram", 32 << 20)
    mount.budget("ram", 8 << 20)
    guest = l.start("guest", program("torture-fast"), "--alone", "--file", path, "--disk", l.path("disk"), "--shadow",
                    l.path("shadow"), "--seconds", "600")
    wait_for("much has left this host", lambda: mount.stats("ram")["evictions"] > 100, 60)
    server = l.start("server", program("gvm"), "metrics", "--mount", mount.path, "--listen", "127.0.0.1:%d" % PORT, "--page")
    wait_for("it listens", lambda: l.run("ss", "-Hltn", "sport = :%d" % PORT))
    dom = browse(l, "--dump-dom")
    ram, other = row_of(dom, "ram"), row_of(dom, EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    l.log("%s; %s", ram, other)
    expect(ram[1] == "32 MiB" and ram[3] == "8.0 MiB" and ram[-1] == "fast path", "ram: %s", ram)
    expect(ram[4] not in ("-", "0") and "s" in ram[5] and "B/s" in ram[7], "no rates: %s", ram)
    expect(other[1] == "1.0 MiB" and "<img src" not in dom.replace('<img id="map-picture"', ""), "a name is more than a name: %s", other)
    node = row_of(dom, "127.0.0.1:")
    expect(node[1] == "250 MiB" or node[1].endswith("MiB"), "node: %s", node)
    expect(node[-1] == "connected" and "s" in node[5], "node: %s", node)
    shot = l.path("page.png")
    browse(l, "--screenshot=" + shot)
    seen = picture.colours(shot)
    if os.environ.get("GVM_PICTURE"):
        shutil.copy(shot, os.environ["GVM_PICTURE"])
    expect(seen.get(HERE, 0) > 1000 and seen.get(NODES, 0) > 1000, "the map is not in the picture: here %d, nodes %d", seen.get(HERE, 0),
           seen.get(NODES, 0))
    guest.signal(15)
    guest.wait(60)
    mount.drained("ram")
    after = row_of(browse(l, "--dump-dom"), "ram")
    expect(after[-1] != "fast path", "it shows what was: %s", after)
    server.signal(15)
    server.succeed(20)


lab.main(test)
