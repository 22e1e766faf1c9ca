#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gvm metrics tells Prometheus all that gvm stat and gvm node count, and how long users wait, in a text to which promtool has no
objection, whatever regions are called; the dashboard for Grafana asks for nothing else; what does not answer is told as such; the text is printed, is in a file that is
replaced as a whole, or is served over HTTP, where a scraper that says nothing holds nobody up, nor
a server that is started again. There is a page with the same for a browser on this host, if it is asked for."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import urllib.parse
import xml.etree.ElementTree

import lab
from lab import children, expect, program, wait_for
from remote import Mount, Node
import dashboard

SAMPLE = re.compile(r'^(\w+)\{(.*)\} (\S+)$')
NAME = 'a "b" \\ c\nd\udcff\u00e4\ufffe'
SEEN = 'a \\"b\\" \\\\ c\\nd\ufffd\u00e4\ufffe'


def told(*arguments, status=0):
    done = subprocess.run([program("gvm"), "metrics", *arguments], capture_output=True, text=True, timeout=lab.patience(30))
    expect(done.returncode == status, "status %d: %s", done.returncode, done.stderr)
    return done.stdout


def judged(text):
    """promtool's word, and the samples by name and labels."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    expect(done.returncode == 0 and not done.stdout + done.stderr, "promtool: %s%s", done.stdout, done.stderr)
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            expect((name, labels) not in found, "%s twice", line)
            found[name, labels] = float(value)
    return found


def is_all_there(l, mount, node):
    l.write(mount.region("read", 4 << 20), 0, 4 << 20, 1)
    with open(mount.file(NAME), "xb") as f:
        f.truncate(1 << 20)
    path = mount.region("ram", 16 << 20)
    mount.budget("ram", 4 << 20)
    guest = l.start("guest", program("torture-fast"), "--alone", "--file", path, "--disk", l.path("disk"), "--shadow",
                    l.path("shadow"), "--seconds", "60")
    wait_for("faults that waited", lambda: mount.stats("ram")["chunks_fetched"] > 50)
    found = judged(told("--mount", mount.path, "--node", node.address))
    whole, region = 'mount="%s"' % mount.path, 'mount="%s",region="%%s"' % mount.path
    expect(found["gvm_mount_up", whole] == 1 and found["gvm_node_up", 'node="%s"' % node.address] == 1, "up: %s", found)
    names = {name for name, _ in found}
    for kind, lines in (("mount", mount.stats()), ("region", mount.stats("ram")), ("node", node.stats())):
        # (Those of whom a process is, and of which epoch, are no measure of anything.)
        for line in lines.keys() - {"worker_pid", "attached_epoch", "client_pid", "settle_bytes"}:
            line = {"nodes_up": "nodes_connected", "region_nodes": "nodes", "fast": "fast_path", "local_bytes": "budget_bytes",
                    "rx_bytes": "received_bytes", "tx_bytes": "sent_bytes", "uptime_ns": "uptime_seconds"}.get(line, line)
            expect({"gvm_%s_%s" % (kind, line), "gvm_%s_%s_total" % (kind, line)} & names, "nothing of %s's %s", kind, line)
    expect(found["gvm_region_size_bytes", region % SEEN] == 1 << 20, "a name: %s", [labels for _, labels in found])
    expect(found["gvm_region_fast_path", region % "ram"] == 1, "ram: %s", found)
    for stage in ("fault_wait", "write_back"):
        name = "gvm_mount_%s_seconds" % stage
        buckets = [value for (bucket, labels), value in found.items() if bucket == name + "_bucket"]
        expect(len(buckets) > 10 and buckets == sorted(buckets), "%s: %s", stage, buckets)
        expect(buckets[-1] == found[name + "_count", whole] > 0 and found[name + "_sum", whole] > 0, "%s: %s", stage, buckets)
    expect(("gvm_region_fault_wait_seconds_count", region % "ram") in found, "of the region: nothing")
    expect(("gvm_region_fault_wait_seconds_count", region % "read") not in found, "of one that is not open")
    guest.signal(signal.SIGKILL)
    guest.wait(20)
    is_on_the_dashboard(l, found)
    before = found["gvm_mount_fault_wait_seconds_count", whole]
    mount.kill_worker()
    wait_for("a successor counts on", lambda: mount.stats()["restarts"] == 1)
    expect(judged(told("--mount", mount.path))["gvm_mount_fault_wait_seconds_count", whole] >= before, "it begins anew")


def is_on_the_dashboard(l, found):
    """(What it asks of the kernel mode is there with the module: exported.py of suite kernel.)"""
    dashboard.judge(l)
    copied = Mount(l, [Node(l, "64M"), Node(l, "64M")], "--replicas", "2")
    with open(copied.region("copied", 1 << 20), "r+b"):
        names = {name for name, _ in [*found, *judged(told("--mount", copied.path))]}
    copied.unmount()
    lacking = {name for name in dashboard.names() if not name.startswith("gvm_dsm_")} - names
    expect(not lacking, "the dashboard asks for what nobody exports: %s", lacking)


def is_alone(l):
    return [name for name in os.listdir(l.folder) if name.startswith("gvm.prom")] == ["gvm.prom"]


def is_a_file(l, mount):
    path = l.path("gvm.prom")
    for _ in range(2):
        told("--mount", mount.path, "--output", path)
        with open(path) as f:
            judged(f.read())
        expect(stat.S_IMODE(os.stat(path).st_mode) == 0o644, "its mode is %o", os.stat(path).st_mode)
    expect(is_alone(l), "%s", os.listdir(l.folder))
    told("--mount", mount.path, "--output", l.path("no/gvm.prom"), status=1)
    # One that is killed while a node is silent, and one that was killed while it wrote.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asking = l.start("asking", program("gvm"), "metrics", "--node", "127.0.0.1:%d" % silent.getsockname()[1], "--output", path)
        silent.settimeout(lab.patience(20))
        with silent.accept()[0] as asked:
            asked.recv(1)
            asking.signal(signal.SIGKILL)
            asking.wait(20)
    expect(is_alone(l), "left by one that was killed: %s", os.listdir(l.folder))
    with open(path + ".new", "w") as f:
        f.write("# no metrics\n" * 10000)
    told("--mount", mount.path, "--output", path)
    expect(is_alone(l), "left: %s", os.listdir(l.folder))
    with open(path) as f:
        judged(f.read())


def connected(to):
    s = socket.socket(socket.AF_UNIX if isinstance(to, str) else socket.AF_INET)
    s.connect(to)
    return s


def get(to, what=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
    with connected(to) as s:
        s.sendall(what)
        with s.makefile("rb") as f:
            return f.read().decode().partition("\r\n\r\n")[::2]


def serves(l, mount, where, to):
    server = l.start("server", program("gvm"), "metrics", "--mount", mount.path, "--listen", where)

    def answers():
        expect(server.running(), "it says %s", server.log())
        try:
            return get(to, b"GET /\r\n\r\n")[0].startswith("HTTP/1.1 404")
        except OSError:
            return False
    wait_for("it listens", answers)
    return server


def sockets(pid):
    try:
        return sum(os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith("socket:") for fd in os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return 0  # it has ended


def is_served(l, mount):
    path = l.path("socket")
    for where, to in (("unix:" + path, path), ("127.0.0.1:9477", ("127.0.0.1", 9477))):
        server, silent = serves(l, mount, where, to), [connected(to)]
        head, body = get(to)

        def lets_go():
            held = [sockets(pid) for pid in children(server.pid)]
            if not held:  # it has had its time
                silent.append(connected(to))
            return held == [1]
        wait_for("the silent one's process has no socket but its own", lets_go)
        server.signal(signal.SIGKILL)
        server.wait(5)
        server = serves(l, mount, where, to)
        for s in silent:
            s.close()
        expect(head.startswith("HTTP/1.1 200 OK") and "version=0.0.4" in head, "%s", head)
        judged(body)
        if to == path:
            expect(stat.S_IMODE(os.stat(path).st_mode) == 0o660, "its mode is %o", os.stat(path).st_mode)
        server.signal(signal.SIGTERM)
        server.succeed(20)
    expect(not os.path.exists(path), "its socket is left")
    expect("beyond" in l.run(program("gvm"), "metrics", "--listen", "0.0.0.0:9477", status=1), "it listens to all")


def status(head):
    return int(head.split()[1])


def is_a_page(l, mount):
    """As a browser asks for it: nothing in it is of others, or for others."""
    to, where = ("127.0.0.1", 9478), "127.0.0.1:9478"

    def ask(path, host="localhost:9478"):
        return get(to, b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path.encode(), host.encode()))
    server = l.start("page", program("gvm"), "metrics", "--mount", mount.path, "--listen", where, "--page")

    def answers():
        try:
            return status(ask("/")[0]) == 200
        except OSError:
            return False
    wait_for("it listens", answers)
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        head, body = ask(path)
        expect(status(head) == 200 and "Content-Type: " + kind in head and "default-src 'none'" in head, "%s: %s", path, head)
        expect(len(body) > 300 and "//" not in re.sub(r"^// .*", "", body, flags=re.M), "%s names another host: %s", path, body)
        expect(not re.search(r"\son\w+=|innerHTML|style=|eval", body), "%s has what may run what it shows", path)
    shown, = json.loads(ask("/state.json")[1])["mounts"]
    regions = {region["name"]: region for region in shown["regions"]}
    expect(shown["path"] == mount.path and shown["nodes"][0]["figures"]["held_bytes"] > 0, "%s", shown)
    expect(regions["read"]["size_bytes"] == 4 << 20 and regions["read"]["counters"]["chunks_written"] > 0, "%s", regions["read"])
    seen = SEEN.replace('\\"', '"').replace("\\\\", "\\").replace("\\n", "\n")
    expect(seen in regions, "a name: %s", list(regions))
    head, body = ask("/map.svg?" + urllib.parse.urlencode({"mount": mount.path, "region": seen}))
    expect(status(head) == 200 and "?: " in xml.etree.ElementTree.fromstring(body)[1].text, "%s\n%s", head, body)
    drawn = "/map.svg?" + urllib.parse.urlencode({"mount": mount.path, "region": "read", "at": 1})
    head, body = ask(drawn)
    expect(status(head) == 200 and xml.etree.ElementTree.fromstring(body).tag.endswith("svg"), "%s", head)
    expect("Cross-Origin-Resource-Policy: same-origin" in head, "another's page may draw it: %s", head)
    strange = urllib.parse.urlencode({"mount": mount.path, "region": "../" + os.path.basename(mount.path) + "/read"})
    for path in ("/x", "/map.svg", "/map.svg?region=read", "/map.svg?mount=%2&region=read", "/map.svg?" + strange):
        expect(status(ask(path)[0]) == 404, "%s is there", path)
    for path in ("/", "/state.json", drawn):
        expect(status(ask(path, "evil.example")[0]) == 421 and status(ask(path, "127.evil.example")[0]) == 421,
               "%s is for whoever has a name point here", path)
    expect(status(ask("/metrics", "evil.example")[0]) == 200, "a proxy may ask for metrics")
    server.signal(signal.SIGTERM)
    server.succeed(20)
    l.run(program("gvm"), "metrics", "--page", status=2)


def test(l):
    node = Node(l, "128M")
    mount = Mount(l, [node])
    is_all_there(l, mount, node)
    is_a_file(l, mount)
    is_served(l, mount)
    is_a_page(l, mount)
    found = judged(told("--mount", mount.path, "--mount", l.folder, "--node", "1.2.3", status=1))
    expect(found["gvm_mount_up", 'mount="%s"' % l.folder] == 0 and found["gvm_node_up", 'node="1.2.3"'] == 0, "%s", found)


lab.main(test)
