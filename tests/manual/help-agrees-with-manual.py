#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A program and its man page name the same options, and neither has an error.

    help-agrees-with-manual.py SOURCE PROGRAM [SUBCOMMAND...]

The page is the only PROGRAM.N in the source tree; a subcommand's options stand in PROGRAM-SUB.N
where there is one, otherwise with all others in the program's page. An option counts where it heads
an item of a list: in the text of --help a line that begins with "-", likewise in the rendered page.
"""

import os
import re
import subprocess
import sys

OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*|-[A-Za-z0-9])(?![\w-])")
failures = []


def fail(text, *arguments):
    failures.append(text % arguments)


def pages(source):
    found = {}
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith((".", "build"))]
        for name in names:
            match = re.fullmatch(r"(.+)\.[1-8]", name)
            if match:
                found[match.group(1)] = os.path.join(folder, name)
    return found


def options_in(text):
    """Options that head an item; what follows two spaces is already their description."""
    found = set()
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("-"):
            found |= set(OPTION.findall(re.split(r"\s{2,}", line)[0]))
    return found


def help_of(program, *subcommand):
    name = " ".join((os.path.basename(program),) + subcommand)
    done = subprocess.run([program, *subcommand, "--help"], text=True, capture_output=True,
                          timeout=20)
    if done.returncode or done.stderr:
        fail("%s --help: status %d, says on stderr: %s", name, done.returncode, done.stderr)
    if not done.stdout.lower().startswith("usage: " + name.split()[0]):
        fail("%s --help does not begin with its usage", name)
    if max(map(len, done.stdout.splitlines() or [""])) > 80:
        fail("%s --help is wider than 80 columns", name)
    wrong = subprocess.run([program, *subcommand, "--no-such-option"], text=True,
                           capture_output=True, timeout=20)
    if wrong.returncode == 0 or not wrong.stderr:
        fail("%s takes an unknown option: status %d", name, wrong.returncode)
    return options_in(done.stdout)


def options_of_page(path):
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], text=True,
                          capture_output=True)
    if lint.returncode:
        fail("%s", lint.stdout + lint.stderr)
    text = subprocess.run(["mandoc", "-T", "ascii", "-O", "width=300", path], text=True, check=True,
                          capture_output=True).stdout
    return options_in(re.sub(".\b", "", text))


def compare(what, said, written):
    for option in sorted(said - written):
        fail("%s: --help has %s, the man page does not", what, option)
    for option in sorted(written - said):
        fail("%s: the man page has %s, --help does not", what, option)


def main():
    source, program, *subcommands = sys.argv[1:]
    name, manual = os.path.basename(program), pages(source)
    if name not in manual:
        sys.exit("there is no man page for %s" % name)
    said = help_of(program)
    if not said:
        fail("no option found in %s --help", name)
    for sub in subcommands:
        own = help_of(program, sub)
        page = manual.get("%s-%s" % (name, sub))
        if page:
            compare("%s %s" % (name, sub), own, options_of_page(page))
        else:
            said |= own
    compare(name, said, options_of_page(manual[name]))
    listed = re.findall(r"^  ([a-z]+)  ", subprocess.run([program, "--help"], text=True,
                                                         capture_output=True).stdout, re.M)
    if sorted(listed) != sorted(subcommands):
        fail("%s --help lists the subcommands %s, the test knows %s", name, listed, subcommands)
    for line in failures:
        print(line)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
