#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""While QEMU's own memory comes and goes, the region's resident pages stay within the budget of
`gvm run`, they do use it, and nothing is killed."""

import errno
import re
import time

import lab
from lab import expect
from launcher import Launcher, nothing_left
from remote import Mount, Node
from residency import resident_bytes

MIB = 1 << 20
LOCAL = 32

STAND_IN = """
own = []
size = len(memory)
print('up', flush=True)
for round in range(15):
    # 40 or 120 MiB of memory of its own, up and down
    wanted = 120 if round % 6 < 3 else 40
    del own[wanted:]
    own += [bytearray(b'x' * (1 << 20)) for _ in range(wanted - len(own))]
    for at in range(0, size, 4096):
        if memory[at:at + 8] != (at * round).to_bytes(8, 'little') and round and at:
            sys.exit('page %d of round %d is wrong' % (at // 4096, round))
        memory[at:at + 8] = (at * (round + 1)).to_bytes(8, 'little')
"""


def switches(pid):
    """How often a process has slept, as gvm run does after each of its readings."""
    with open("/proc/%d/status" % pid) as f:
        found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M)
    return int(found.group(1)) if found else 0


def test(l):
    mount = Mount(l, [Node(l, "512M")])
    launcher = Launcher(l, mount, ram="128M", local="%dM" % LOCAL)
    run = launcher.start(STAND_IN, "--region", "guest")
    run.says("^up")
    seen, looked = [], 0
    while run.running():
        try:
            resident = resident_bytes(mount.file("guest"))
            # What is to be held against it is what is here though it has looked at that.
            if switches(run.pid) >= looked + 2:
                looked = switches(run.pid)
                seen.append(resident)
        except OSError as why:
            # nobody has it open for writing any more: it is read from the nodes, not mapped
            expect(why.errno == errno.ENODEV, "%s", why)
        time.sleep(0.05)
    expect(run.wait(5) == 0, "status %s", run.popen.returncode)
    most = max(seen)
    l.log("resident at most %.1f MiB of %d in %d looks", most / MIB, LOCAL, len(seen))
    expect(len(seen) > 10 and most > LOCAL * MIB // 2, "only %d looks, %d bytes", len(seen), most)
    # own memory that is given back at a stroke is the region's until the next reading, which may be
    # late on a busy machine: up to 80 MiB go so here, but not often
    over = sum(size > (LOCAL + 4) * MIB for size in seen)
    expect(most <= (LOCAL + 80) * MIB and over <= len(seen) // 4,
           "more than %d MiB were resident in %d of %d looks, at most %d bytes", LOCAL + 4, over,
           len(seen), most)
    expect("killed" not in run.log(), "%s", run.log())
    nothing_left(launcher, run, ["guest"])


lab.main(test)
