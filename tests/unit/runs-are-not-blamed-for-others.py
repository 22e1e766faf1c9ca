#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two checks on one machine: what the kernel complains of in a process of one, and a cgroup of one, is no
fault of the other."""

import os
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "tools/lib"))

import kernel_log  # noqa: E402
import leftovers  # noqa: E402

OURS, OTHERS = "unit-ours-%d" % os.getpid(), "unit-others-%d" % os.getpid()


def sleeper(run):
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "GVM_RUN": run})
    while leftovers.run_of(process.pid) != run:
        pass  # the shell's environment is there with the exec
    return process


def complaints(*lines):
    """What a run makes of these lines of the kernel's log."""
    log = kernel_log.KernelLog(OURS)
    log.ended.set()
    if log.fd is not None:
        os.close(log.fd)
    log.why = None
    log.fd, end = os.pipe2(os.O_NONBLOCK)
    for line in lines:
        os.write(end, ("4,1,1,-;%s\n" % line).encode())
        log._read()
    found = log.complaints()
    os.close(end)
    return found


def group(folder, name, *pids):
    path = os.path.join(folder, name)
    os.mkdir(path)
    with open(os.path.join(path, "cgroup.procs"), "w") as f:
        f.write("".join("%d\n" % pid for pid in pids))
    return path


def main():
    ours, others = sleeper(OURS), sleeper(OTHERS)
    hung = "INFO: task qemu:%d blocked for more than 120 seconds."
    oops = "CPU: 0 PID: %d Comm: gvmfs Not tainted"
    try:
        assert complaints(hung % ours.pid, "fuse_wait")
        assert not complaints(hung % others.pid, "fuse_wait")
        assert complaints("WARNING: fs/fuse/dev.c:1", oops % ours.pid)
        assert not complaints("WARNING: fs/fuse/dev.c:1", oops % others.pid)
        assert complaints("WARNING: fs/fuse/dev.c:1", "no process is named"), "nobody's is ours"
        with tempfile.TemporaryDirectory() as folder:
            watch = leftovers.Watch(OURS, folder)
            assert not watch._foreign(group(folder, "gvm-run.1x", ours.pid))
            assert watch._foreign(group(folder, "gvm-run.2x", others.pid))
            assert not watch._foreign(group(folder, "gvm-run.%d" % ours.pid))
            assert watch._foreign(group(folder, "gvm-test-%d-1" % others.pid))
            assert watch._foreign(group(folder, "gvm-run.999999999"))
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()


main()
