#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No thread that guests wait for takes a lock that another thread may hold, waits for another thread in the C library, or sends
over a UNIX socket: who has the lock may have lost the CPU, and before Linux 6.9 a stranger can hold up who sends.

SITES has all functions of gvmfs, and of what it links of memnode, that make such calls; for each the functions from which it
can be reached (with a star: whatever leads there; a file: any of its), and why these may wait. Who adds a call, or calls one of them from
elsewhere, fails here. With GVM_BUILD the objects that were built say it, too: a macro's call is in no function of the sources.

(What the C library, OpenSSL and the kernel lock in their own calls, as malloc(), pthread_create() and mmap() do, is not looked at.)
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import graph  # noqa: E402

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))

WAITS = ("pthread_mutex_lock pthread_mutex_timedlock pthread_mutex_clocklock pthread_cond_wait pthread_cond_timedwait "
         "pthread_cond_clockwait pthread_join pthread_timedjoin_np pthread_clockjoin_np pthread_rwlock_rdlock "
         "pthread_rwlock_wrlock pthread_spin_lock pthread_barrier_wait pthread_once call_once mtx_lock cnd_wait thrd_join "
         "sem_wait sem_timedwait sem_clockwait gai_suspend getaddrinfo getnameinfo lockf flock "
         "descriptors_send").split()

ALL = "..."  # it is called from everywhere

# File: {function: (what leads to it, why it may wait)}
SITES = {
    "gvmfs/fuse/unbacked": {"limit_lock": ("limit_hold limit_set*", "a process of its own, forked by a thread of work that blocks")},
    "gvmfs/heir": {"message_send": ("heir_ask* heir_give* heir_refuse* copies_send", "an heir; a worker's thread for one")},
    "gvmfs/node/jobs": {
        "blocking_take": ("blocking_thread", "threads of work that blocks, among themselves"),
        "blocking_thread": ("", "the same"),
    },
    "gvmfs/node/unpack": {"unpack_thread": ("", "the second decoder's thread: the front gives it work")},
    "gvmfs/place": {"place_lock": ("mount.c orphan.c supervisor.c main.c", "other threads and processes: a mount's beginning and end")},
    "gvmfs/state/keeper": {"keeper_serve": ("supervise* worker_start*", "the supervisor")},
    "gvmfs/state/post": {
        "letter_send": ("", "the message's own thread"),
        "post_send": (ALL, "only where the kernel holds nobody up: post.h"),
    },
    "gvmfs/state/relief": {
        "relief_lock": (ALL, "the front's role: it changes hands by this lock, which only threads take that have the role or "
                             "are to have it"),
        "relief_unlock": (ALL, "the same"),
    },
    "gvmfs/store/pagecache_around": {
        "around_set": ("around_file around_files helper_around call_do call_run", "another process, the helper"),
    },
    "gvmfs/store/writer": {"queue_take": ("writer_turn writer_thread", "the writers' threads, among themselves")},
    "gvmfs/uffd/door": {"refuse": ("turn_away make_room connections_look door_wait door_run*", "another process, the door")},
    "gvmfs/uffd/reader": {"reader_end": ("", "a thread of its own; where none can be made, the front, before Linux 6.10")},
    "gvmfs/uffd/resident_client": {"socket_send": (ALL, "another thread becomes the front meanwhile: state/relief.h")},
    "gvmfs/uffd/visitor": {
        "bell_ring": ("visitor_run* visitor.c", "another process, a visitor's"),
        "channel_send": ("visitor_run* visitor.c", "the same"),
        "client_send": ("visitor_run* visitor.c", "the same"),
    },
    "gvmfs/upgrade": {"upgrade_say": ("upgrade.c succession.c supervisor.c main.c", "the supervisor")},
    "memnode/addr": {"addr_resolve": ("", "a program's start")},
    "memnode/logger": {
        "fork_prepare": ("handlers_set gvm_log_start*", "who forks"),
        "gvm_log_start": ("log_start*", "a program's start"),
        "gvm_log_stop": ("", "a program's start"),
        "syslog_write": ("line_write dropped_write thread_step thread_run gvm_log_put*",
                         "the log's thread, and programs that have not started it"),
        "thread_wait": ("thread_run", "the log's thread"),
    },
    "memnode/tls": {"key_create": (ALL, "the first one is made before there are threads")},
}

# What is no part of gvmfs.
STRANGERS = ("memnode/daemon/",)

WORD = re.compile(r'[A-Za-z_]\w*')
HEAD = re.compile(r'([A-Za-z_]\w*)\s*\((?:[^(){};]|\([^()]*\))*\)\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?$', re.S)


def functions(code):
    """{name: the words of its body} of one file."""
    found, depth, begin, head = {}, 0, 0, ""
    code = graph.DIRECTIVE.sub("", code)
    start = 0
    for m in re.finditer(r'[{};]', code):
        if m.group() == "{":
            if not depth:
                head, begin = code[start:m.start()], m.end()
            depth += 1
        elif m.group() == "}":
            depth -= 1
            if not depth:
                name = HEAD.search(head.strip())
                if name and "=" not in head:
                    found.setdefault(name.group(1), set()).update(WORD.findall(code[begin:m.start()]))
                start = m.end()
        elif not depth:
            start = m.end()
    return found


def threads(code):
    """Functions with which threads begin: whoever makes the thread does not call them."""
    return set(re.findall(r'(?:pthread_create|thread_start)\s*\([^;{}]*?\b(\w+),\s*\w+\)', code))


def read(tree):
    """({(file, function): words}, functions with which threads begin)"""
    bodies, begins = {}, set()
    for path, code in tree.code.items():
        if path.startswith(STRANGERS):
            continue
        for name, words in functions(code).items():
            bodies[path[:-2], name] = words
        begins |= threads(code)
    return bodies, begins


def leads_to(bodies, begins, public, file, name, stops):
    """The names of all functions that can lead to this one, but for those that lead to a stop."""
    found, new = set(), {(file, name)}
    while new:
        called = [(owner, function) for owner, function in new if function not in begins and function not in stops]
        new = set()
        for (path, function), words in bodies.items():
            # Where the file has a function of that name itself, that one is meant.
            if (path, function) not in found and (path, function) != (file, name) and any(
                    one in words and (path == owner or (one in public[owner] and (path, one) not in bodies))
                    for owner, one in called):
                new.add((path, function))
        found |= new
    return found


def is_new(path, sources):
    """Whether an object is of a file that there is, and was built since that was changed."""
    source = sources.get(os.path.basename(path)[:-len(".c.o")])
    return source and os.path.getmtime(path) > os.path.getmtime(os.path.join(TOP, source))


def objects(build, sources):
    """{file: calls of WAITS that its objects make}"""
    found = {}
    paths = [os.path.join(where, name) for folder in ("gvmfs/gvmfs.p", "memnode/libgvm.a.p")
             for where, _, names in os.walk(os.path.join(build, folder)) for name in names
             if name.endswith(".c.o") and is_new(os.path.join(where, name), sources)]
    said = subprocess.run(["nm", "-A", "-u", "--", *paths], check=True, text=True, stdout=subprocess.PIPE).stdout if paths else ""
    for line in said.splitlines():
        path, symbol = line.rsplit(":", 1)[0], line.split()[-1].split("@")[0]
        if symbol in WAITS:
            name = os.path.basename(path)[:-len(".c.o")]
            found.setdefault(name, set()).add(symbol)
    return found


def site_check(bodies, begins, public, file, function):
    """What is wrong with one that waits, in words."""
    calls = ", ".join(sorted(bodies[file, function].intersection(WAITS)))
    known = SITES.get(file, {}).get(function)
    if not known:
        return ["%s.c: %s() calls %s: if guests can wait for its thread, let it not; else it has a place in SITES"
                % (file, function, calls)]
    if known[0] == ALL:
        return []
    stops = {name[:-1] for name in known[0].split() if name.endswith("*")}
    said = {name.rstrip("*") for name in known[0].split()}
    found = {name: {name, os.path.basename(path) + ".c"}
             for path, name in leads_to(bodies, begins, public, file, function, stops)}
    return ["%s.c: %s(), which calls %s, can be reached from %s(); SITES does not say so (%s)"
            % (file, function, calls, name, known[1]) for name, names in sorted(found.items()) if not names & said] + [
                "%s.c: %s() cannot be reached from %s: SITES says so" % (file, function, other)
                for other in sorted(said - set().union(*found.values()))]


def main():
    tree = graph.Tree(TOP, ["gvmfs", "memnode"])
    bodies, begins = read(tree)
    public = {path[:-2]: graph.defined(code) for path, code in tree.code.items() if path.endswith(".c")}
    public.update({path[:-2]: set() for path in tree.code if path[:-2] not in public})
    waits = [where for where, words in sorted(bodies.items()) if words.intersection(WAITS)]
    wrong = [line for where in waits for line in site_check(bodies, begins, public, *where)]
    wrong += ["%s.c: %s() waits no more: SITES says so" % (file, function)
              for file, sites in SITES.items() for function in sorted(sites) if (file, function) not in waits]
    if "GVM_BUILD" in os.environ:
        files = {file.split("/", 1)[1].replace("/", "_") for file in SITES}
        sources = {path.split("/", 1)[1][:-2].replace("/", "_"): path for path in tree.code if path.endswith(".c")}
        wrong += ["%s.c calls %s" % (name, ", ".join(sorted(calls)))
                  for name, calls in sorted(objects(os.environ["GVM_BUILD"], sources).items()) if name not in files]
    print("%d functions of %d may wait" % (len(waits), len(bodies)))
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


main()
