# SPDX-License-Identifier: GPL-2.0-or-later
"""The torture (torture.c) on a region: started, judged, and its region seen by another mount."""

import re

from lab import expect, program
from remote import Mount


def counts(console):
    """What each torture of a console did: for each a dictionary, form of access -> how often."""
    return [{form: int(number) for number, form in re.findall(r"(\d+) ([a-z ]+)", line)}
            for line in re.findall(r"^torture: (\d+ checks, .* bad)\s*$", console, re.M)]


def expect_every_form(done, without=()):
    missing = [form for form, number in done.items()
               if not number and form != "bad" and form not in without]
    expect(len(done) > 2 and not missing, "there were no %s: %s", " and no ".join(missing), done)


class Torture:
    """One that has all forms of access to a new region, for some seconds and until its end is waited for."""

    def __init__(self, lab, mount, region, *options, by="torture", **started):
        self.lab, self.mount, self.region = lab, mount, region
        self.until = lab.path("torture-of-%s-ends" % region)
        self.process = lab.start("torture", program(by), "--file", mount.file(region), "--disk",
                                 lab.path("disk"), "--shadow", lab.path("shadow"), "--punch",
                                 "--seconds", "12", "--until", self.until, *options, **started)

    def running(self):
        return self.process.running()

    def passes(self, seconds=90):
        """Waits for its end: it found nothing wrong, and did everything that it can."""
        open(self.until, "x").close()
        done, = counts(self.process.succeed(seconds))
        self.lab.log("%s", done)
        expect_every_form(done)

    def is_seen_by_another_mount(self, nodes):
        """Unmounts; what a mount after it finds in the region is what the torture left there."""
        self.mount.unmount()
        again = Mount(self.lab, nodes)
        self.lab.run(program("torture"), "--file", again.file(self.region), "--shadow",
                     self.lab.path("shadow"), "--verify", seconds=60)
