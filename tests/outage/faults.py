# SPDX-License-Identifier: GPL-2.0-or-later
"""What may break. A fault is a function of the storm and of a source of chance: what stands before its
`yield` breaks something, the number that it yields says for how many seconds, what stands after it
makes it whole. It draws all its chances before that, so that a seed gives the same order of events.

`kills` is how many processes it kills; `ends_users`: it ends what runs above, hence no other may be under way;
`host`: it is of gvmfs's processes, of which it breaks one at a time; `far`: it is of a machine, of which with replicas one
at a time is broken; `needs` says for which options of the storm it is one that can be survived.
"""

import os
import signal

from lab import expect, wait_for  # first: it says where the others are
from startup import serving

ALL = {}
PATIENCE = 120  # seconds for a machine to be one of several again


def fault(kills=0, host=False, far=False, ends_users=False, needs=lambda options: True):
    def add(function):
        function.kills, function.host, function.far = kills, host, far
        function.ends_users, function.needs = ends_users, needs
        ALL[function.__name__.replace("_", "-")] = function
        return function
    return add


def together(first, second, options):
    """Whether the second of two kinds may break while the first is broken."""
    first, second = ALL[first], ALL[second]
    far = options.replicas > 1 and first.far and second.far
    return first != second and not (first.ends_users or second.ends_users or (first.host and second.host) or far)


def machine(storm, chance):
    """One that is not broken yet, if there is one: two faults at a time are of two machines, or on the host."""
    chosen = chance.choice([m for m in storm.machines if m not in storm.broken] or storm.machines)
    storm.broken.append(chosen)
    return chosen


def stop_alone(storm, chosen):
    """Stops a machine that is to lose what it holds, while all else that is held has another copy.

    That was so when the last fault was over; but on a busy host a slow node may have been left out since, and what was
    written then is on the others alone. A machine that is stopped acknowledges nothing more, so what is found then stays so.
    """
    if storm.options.replicas == 1:
        return

    def stopped():
        if not storm.is_whole():
            return False
        chosen.stop()
        if storm.is_whole():
            return True
        chosen.go_on()
        return False

    wait_for("each chunk has another copy than that of %s" % chosen.name, stopped, PATIENCE)


@fault(kills=1, host=True)
def worker_killed(storm, chance):
    hold = chance.uniform(0.1, 0.6)
    storm.mount.kill_worker()
    yield hold


@fault(kills=1, host=True)
def supervisor_killed(storm, chance):
    """The worker goes on by itself until the next start takes over."""
    hold = chance.uniform(0, 1.0)
    worker = storm.mount.worker()
    storm.mount.process.signal(signal.SIGKILL)
    storm.mount.process.wait(10)
    yield hold
    expect(os.path.exists("/proc/%d" % worker), "the worker went with its supervisor")
    storm.mount.start()
    yield
    storm.mount_serves()
    wait_for("another worker has taken over", lambda: worker not in serving(storm.mount.path), 60)


@fault(kills=2, ends_users=True)
def gvmfs_killed(storm, chance):
    """As a whole: the mount is gone, its users end, and what they had acknowledged is on the nodes."""
    hold = chance.uniform(0, 0.5)
    storm.crash()
    yield hold
    storm.recover()


@fault(far=True)
def node_hangs(storm, chance):
    chosen, hold = machine(storm, chance), chance.uniform(0.2, 4)
    chosen.stop()
    yield hold
    chosen.go_on()


@fault(kills=1, far=True, needs=lambda options: options.persist or options.replicas > 1)
def node_killed(storm, chance):
    """It comes back with what it kept, or without anything: then it is given copies anew."""
    chosen, hold = machine(storm, chance), chance.uniform(0, 3)
    stop_alone(storm, chosen)
    chosen.kill()
    yield hold
    chosen.start()


@fault(kills=1, far=True, needs=lambda options: options.persist and options.replicas > 1)
def disk_lost(storm, chance):
    chosen, hold = machine(storm, chance), chance.uniform(0, 3)
    stop_alone(storm, chosen)
    chosen.kill()
    yield hold
    chosen.forget()
    chosen.start()


@fault(kills=1, far=True, needs=lambda options: options.replicas > 1)
def stored_bits_flip(storm, chance):
    """Of a part of what it holds. In the end it is replaced, as a machine is whose memory cannot be trusted."""
    chosen, hold, part, number = machine(storm, chance), chance.uniform(1, 3), chance.uniform(0.001, 0.1), chance.getrandbits(64)
    stop_alone(storm, chosen)
    storm.lab.log("%d bits of what %s holds are flipped", chosen.flip_stored(part, number), chosen.name)
    if storm.options.replicas > 1:
        chosen.go_on()
    yield hold
    yield  # until nothing else is broken: the others' copies may lack what they were too slow for meanwhile
    stop_alone(storm, chosen)
    chosen.kill()
    chosen.forget()
    chosen.start()


@fault(far=True)
def link_cut(storm, chance):
    chosen, hold = machine(storm, chance), chance.uniform(0.2, 4)
    chosen.unplug()
    yield hold
    chosen.plug()


@fault(far=True)
def packets_vanish(storm, chance):
    chosen, hold = machine(storm, chance), chance.uniform(0.2, 4)
    chosen.swallow()
    yield hold
    chosen.deliver()


@fault(far=True)
def connections_reset(storm, chance):
    chosen, hold = machine(storm, chance), chance.uniform(0.1, 0.5)
    chosen.reset()
    yield hold


@fault(far=True)
def link_slow(storm, chance):
    chosen, hold = machine(storm, chance), chance.uniform(1, 4)
    rate, delay = chance.choice(["20mbit", "100mbit"]), chance.choice([1000, 10000, 40000])
    chosen.narrow(rate)
    chosen.delay(delay)
    yield hold
    chosen.delay(0)
    chosen.widen()


@fault(far=True)
def bit_flips_on_the_wire(storm, chance):
    """One, since a chunk that comes wrong twice in a row is an error by design. It is waited for."""
    chosen, after, bit = machine(storm, chance), chance.randrange(1 << 20), chance.randrange(8)
    before = chosen.flips()
    chosen.flip(after, bit)
    yield 0.2
    yield  # without the other nodes perhaps nothing passes here
    wait_for("a bit is flipped", lambda: chosen.flips() > before, 120)


@fault()
def nodes_full(storm, chance):
    """Of promises, and a part of them with bytes: what was promised before does not suffer."""
    hold, noise = chance.uniform(0.2, 1), chance.randrange(4, 12)
    path = storm.mount.file("ballast")
    made = storm.lab.start("ballast", "sh", "-c",
                           'n=4; while truncate -s ${n}M "$1" 2>/dev/null; do n=$((n * 2)); done; '
                           'dd if=/dev/urandom of="$1" bs=1M count=%d conv=notrunc,fsync 2>&1' % noise, "sh", path)
    yield hold
    yield
    made.wait(120)
    storm.lab.run("rm", "-f", path, seconds=60)
