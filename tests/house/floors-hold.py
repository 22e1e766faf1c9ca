#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file includes and calls only what lies below it, no files of a program include or call each other round, and no two
files of the tree, of whatever program, have functions or variables of one name for others.

A file here is a .c file and the header of its name: if a.c includes b.h, and b.h or b.c includes a.h, or calls something
of a.c, that is a circle. Only where FLOORS has a header by itself ("name.h": an interface that several files fulfil or
use) the two are told apart, when includes and calls are looked at together.

FLOORS has, for each folder, its files from the bottom up: a line is a floor, files of one floor may use each other
(but not round), and no file uses one of a floor above its own. What is not yet so is in CIRCLES and CLIMBS, with its
number; a number that is too high fails as well as one that is too low, so that it can only fall.

The sources say who names whose functions. With GVM_BUILD the objects that were built from them add what macros make;
objects alone would not do, since none of the kernel module need be there.
"""

import fnmatch
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import graph  # noqa: E402

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))

# Folder: files of one program (or of one library), without their endings. "name.h" is a header that has a place of
# its own, below its .c file; a pattern may have a folder: "base/*". A folder without floors has only its circles
# counted.
FLOORS = {
    "kmod/ivy": [
        "wire", "heap pairs", "types", "impl",
        "copyset carry", "pair", "send", "lease", "pace", "tables", "slot", "dir",
        "relay", "op", "ahead", "cast",
        "agent", "grant",
        "serve", "txn", "recover", "home",
        "alive",
        "ivy",
    ],
    "kmod": [
        "log compat memory mutant trace uapi/giantvm",
        "workers params seal frame auth buffers contended membership",
        "link", "peer", "beats", "cluster", "homes",
        "region_parts", "region",
        "regions notes", "frames inode chardev kvm",
        "revoke", "enter",
        "tell", "pinned evict sweep",
        "opening", "sleep",
        "clock fault stats", "env file",
        "region_life offers",
        "agree handshake", "receive",
        "device",
        "main",
    ],
    "memnode": [
        "gvm_wire clock addr file size page_run put_rule xxh",
        "chunk_head", "codec auth hkdf keyfile mountinfo descriptor_limit names_mutant gvm_client.h",
        "cluster logger notify seal seal_mutant tls",
    ],
    "memnode/client": ["frames resolve stream", "impl", "poll lists", "tx", "requests", "link", "rx", "conn"],
    "memnode/daemon": [
        "log secure conn_addr", "memory sandbox io.h io io_epoll io_uring",
        "keep_format", "keep_scan keep_file", "keep_block", "keep_log", "keep_writer",
        "store", "watch lease graves", "region", "region_priv", "entry", "regions", "slot_view note chunk names region_image", "journal",
        "journal_impl", "journal_append", "journal_space", "journal_load", "journal_open", "pack", "node",
        "reply", "request", "conn", "conn_impl", "conn_rx conn_tx conn_stranger", "conn_tls", "conn_life", "conns", "server",
        "main",
    ],
    "gvmfs": [
        "gvm_attach gvm_mount gvm_upgrade options.h",
        "base/*", "state/*", "node/*", "store/pagecache_helper.h store/*", "uffd/resident_env.h uffd/*", "fuse/*",
        "heir main options options_mount orphan mount place rlimits stop succession supervisor supervisor_state upgrade will worker "
        "serve connection",
    ],
    "qemu": [
        "dsm_calls dsm_attach", "dsm_backend", "preload",
        "vcpu_wire vcpu_socket vcpu_clock", "vcpu_map vcpu_seal vcpu_antenna", "vcpu_place vcpu_link", "vcpu_peer", "vcpu_router", "vcpu_counter",
        "vcpu_io vcpu_irq vcpu_machine vcpu_life vcpu_info", "vcpu_irq_kvm", "vcpu_node vcpu_manual",
    ],
    "tools": [
        "gvm.h", "say fsstats meminfo mounts program memcg_hold node_figures utf8", "json_out xml", "waits",
        "memcg giantvm run/fast",
        "attach/clerk", "attach/examine attach/inject", "attach/attach",
        "bench/stop bench/bench_file bench/sizes bench/data bench/link bench/swap_area", "bench/report", "bench/codec bench/child bench/command bench/exchange", "bench/node",
        "bench/loads bench/busy bench/guests bench/parts bench/peers bench/touch bench/scale_client", "bench/budget",
        "bench/swap_programs bench/guest_code bench/guest", "bench/round bench/networks bench/scale bench/swap bench/table", "bench/bench",
        "run/notes run/qemu_opts run/machine run/walks run/relay", "run/qemu_config run/qemu_facts", "run/qemu_ask",
        "run/command", "run/argv run/scan", "run/args",
        "run/budget run/config run/cpus run/demand run/region run/shares",
        "run/balance run/limit run/child run/ending run/figures run/file", "run/kernel run/watch", "run/hosts", "run/run",
        "doctor/facts", "doctor/judge doctor/probe", "doctor/mend doctor/nodes", "doctor/doctor",
        "inspect/core_map inspect/page_table inspect/note inspect/progress inspect/dump inspect/monitor", "inspect/memory",
        "inspect/find inspect/census inspect/snapshot inspect/kernel", "inspect/inspect",
        "dsm/dsm.h dsm/symbols", "dsm/keys dsm/lost dsm/status", "dsm/dsm",
        "map/state", "map/draw", "map/map", "metrics/families metrics/listen metrics/page_parts", "metrics/exposition",
        "node_regions node_add node_list region_auto region_file region_list region_settle", "top/sample", "top/nodes top/sampler",
        "metrics/gather metrics/page", "metrics/metrics",
        "top/view", "top/picture top/screen", "top/top",
        "node region stat status upgrade",
        "gvm",
    ],
    "tools/heap": ["heap"],
}

# What folders may include of each other, themselves apart: "folder" or "folder/file".
OTHERS = {
    "kmod/ivy": [],
    "kmod": ["kmod/ivy"],
    "memnode": [],
    "memnode/client": ["memnode"],
    "memnode/daemon": ["memnode"],
    "gvmfs": ["memnode"],
    "qemu": ["gvmfs/gvm_attach", "gvmfs/gvm_mount", "kmod/uapi", "memnode/addr", "memnode/gvm_client", "memnode/hkdf"],
    "tools": ["memnode", "gvmfs/gvm_attach", "gvmfs/gvm_mount", "gvmfs/gvm_upgrade", "gvmfs/state/core", "gvmfs/state/latency",
              "gvmfs/state/record", "kmod/uapi"],
    "tools/heap": [],
}

# With what the names begin that a folder has for others. No static function is meant.
PREFIXES = {"kmod/ivy": "ivy_", "kmod": "gvm_"}

# Not yet cut, by what the files do to each other round, and folder: how many files.
CIRCLES = {"call": {}, "include": {}, "call or include": {}}

# Not yet cut: uses of a file on a floor above, by folder.
CLIMBS = {}


def files_of(tree, folder):
    """Its files, but those of folders within it that are programs of their own."""
    inner = [other + "/" for other in FLOORS if other.startswith(folder + "/")]
    return {path[:-2] for path in tree.code
            if path.startswith(folder + "/") and not any(path.startswith(other) for other in inner)}


def floor_of(folder, stem, header):
    """Its number, 0 at the bottom; None: it has no place."""
    name = stem[len(folder) + 1:]
    found = None
    for number, floor in enumerate(FLOORS[folder]):
        for pattern in floor.split():
            if header and fnmatch.fnmatch(name + ".h", pattern):
                return number
            if fnmatch.fnmatch(name, pattern):
                found = number
    return found


def climbs(tree, folder, called, included):
    """Uses of what lies above, in words; and files that have no place."""
    said = []
    if not FLOORS[folder]:
        return said
    mine = files_of(tree, folder)
    for path in sorted(path for path in tree.code if path[:-2] in mine):
        if floor_of(folder, path[:-2], path.endswith(".h")) is None:
            said.append("%s has no floor" % path)
    for (one, other), name in sorted(called.items()):
        if (floor_of(folder, one, False) or 0) < (floor_of(folder, other, False) or 0):
            said.append("%s.c uses %s() of %s.c above it" % (one, name, other))
    for path, other in sorted(included):
        mine = floor_of(folder, path[:-2], path.endswith(".h"))
        if (mine or 0) < (floor_of(folder, other, True) or 0):
            said.append("%s includes %s.h above it" % (path, other))
    return said


def compare(what, folder, found, allowed, lines):
    if found == allowed:
        return 0
    print("%s: %d %s, the table of this test has %d" % (folder, found, what, allowed))
    if found < allowed:
        print("    write the smaller number there, so that it stays")
    for line in lines:
        print("    " + line)
    return 1


def rounds(verb, folder, ties):
    found = graph.circles(ties)
    return compare("files %s each other round" % verb, folder, sum(map(len, found)), CIRCLES[verb].get(folder, 0),
                   [" ".join(os.path.basename(stem) for stem in one) for one in found])


def stands_alone(folder, stem):
    """Whether its header has a place of its own."""
    return any(stem[len(folder) + 1:] + ".h" == one for floor in FLOORS[folder] for one in floor.split())


def ties_together(folder, called, included):
    """Calls and includes; a header with a place of its own is a file of its own, of which the .c file is a user."""
    def place(path):
        return path if path.endswith(".h") and stands_alone(folder, path[:-2]) else path[:-2]
    ties = set(called) | {(place(path), place(other + ".h")) for path, other in included}
    return {(one, other) for one, other in ties if one != other}


def strangers(tree, folder):
    """Includes of other folders that it may not know."""
    said = []
    mine = files_of(tree, folder)
    for path, headers in sorted(tree.includes.items()):
        if path[:-2] not in mine:
            continue
        for header in headers:
            stem = header[:-2]
            if stem not in mine and not any(one in (stem, os.path.dirname(stem)) for one in OTHERS[folder]):
                said.append("%s includes %s" % (path, header))
    return said


def symbols(objects):
    """{object: (defined, undefined)}"""
    found, name = {}, None
    said = subprocess.run(["nm", "-A", "-g", "--", *objects], check=True, text=True, stdout=subprocess.PIPE).stdout
    for line in said.splitlines():
        name, _, rest = line.rpartition(":")
        kind, symbol = rest.split()[-2:]
        found.setdefault(name, (set(), set()))[kind in "Uw"].add(symbol)
    return found


def linked(tree, folder, build):
    """{(file, file whose symbol its object needs): that symbol}"""
    mine, objects = files_of(tree, folder), {}
    for path in glob.glob(os.path.join(build, folder.split("/")[0], "**", "*.c.o"), recursive=True):
        where = os.path.dirname(os.path.dirname(os.path.relpath(path, build)))
        name = os.path.basename(path)[:-len(".c.o")]
        for one in (name, name.replace("_", "/", 1)):  # meson's name of an object in a folder below
            if os.path.join(where, one) in mine:
                objects[path] = os.path.join(where, one)
    owner, found = {}, {}
    known = symbols(objects) if objects else {}
    for path, (defined, _) in known.items():
        for symbol in defined:
            owner.setdefault(symbol, set()).add(objects[path])
    for path, (_, undefined) in known.items():
        for symbol in undefined:
            for other in owner.get(symbol, ()):
                if other != objects[path] and not symbol.startswith("__"):
                    found[objects[path], other] = symbol
    return found


def namesakes(tree):
    """Names that two files have for others: a reader who looks one up finds both."""
    return ["%s is of %s" % (name, " and of ".join(sorted(owners))) for name, owners in sorted(tree.owner.items())
            if len(owners) > 1 and name != "main"]


def main():
    tree, failed = graph.Tree(TOP, ["kmod", "memnode", "gvmfs", "qemu", "tools"]), 0
    for folder in FLOORS:
        files = files_of(tree, folder)
        called, included = tree.called(files), tree.included(files)
        if "GVM_BUILD" in os.environ:
            called.update(linked(tree, folder, os.environ["GVM_BUILD"]))
        failed += rounds("call", folder, called)
        failed += rounds("include", folder, {(path[:-2], other) for path, other in included})
        failed += rounds("call or include", folder, ties_together(folder, called, included))
        up = climbs(tree, folder, called, included)
        failed += compare("uses of what lies above", folder, len(up), CLIMBS.get(folder, 0), up)
        named = {name for path in tree.code if path.endswith(".c") and path[:-2] in files
                 for name in graph.defined(tree.code[path])}
        wrong = ["%s has no prefix" % name for name in sorted(named)
                 if not name.startswith(PREFIXES.get(folder, ""))]
        for line in wrong + strangers(tree, folder):
            print(line)
            failed += 1
        print("%s: %d files, %d calls between them" % (folder, len(files), len(called)))
    for line in namesakes(tree):
        print(line)
        failed += 1
    sys.exit(1 if failed else 0)


main()
