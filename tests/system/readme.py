# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that a document shows, in its order: lines of code blocks, and commands within a
sentence."""

import os
import re

import lab
from lab import Failure

PROGRAMS = ("gvm", "gvmfs", "gvm-memnode", "meson", "systemd-run", "mount", "modprobe", "insmod")


class Command:
    def __init__(self, section, text, lines=()):
        self.section, self.text = section, text
        self.lines = lines  # what the block shows that a file of this command has

    def __str__(self):
        return "'%s' (README.md, \"%s\")" % (self.text, self.section)


def _without_comment(line):
    return re.sub(r"(^|\s{2,})#.*$", "", line).rstrip()


def _commands_of_block(section, block):
    """Continued lines are joined; after `cat FILE` come the lines of that file, up to a blank one."""
    found, i = [], 0
    while i < len(block):
        text = _without_comment(block[i])
        while text.endswith("\\"):
            i += 1
            text = text[:-1].rstrip() + " " + block[i].strip()
        i += 1
        lines = []
        if text.startswith("cat "):
            while i < len(block) and block[i]:
                lines.append(block[i])
                i += 1
        if text:
            found.append(Command(section, text.strip(), lines))
    return found


def read(path=os.path.join(lab.SOURCE, "README.md")):
    """(commands, fenced blocks as (language, text)) of the document."""
    with open(path) as f:
        text = f.read()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found, section, block, plain = [], "", [], []

    def end_plain():
        for span in re.findall(r"`([^`]+)`", " ".join(plain)):
            # `gvm run` alone is a name, not a command.
            if span.split()[0] in PROGRAMS and not re.fullmatch(r"\S+( [a-z]+)?", span):
                found.append(Command(section, span))
        plain.clear()

    for line in text.split("\n") + ["end"]:
        if line.startswith("    ") or (block and not line):
            end_plain()
            block.append(line[4:])
            continue
        found += _commands_of_block(section, block)
        block = []
        if line.startswith("#"):
            section = line.strip("# ")
        plain.append(line)
        if not line:
            end_plain()
    return found, fenced


def run(commands, table):
    """Has each command done by the first entry of the table, [(pattern, what)], that it matches as a
    whole: a line that nothing here knows how to run is a promise that nothing keeps."""
    for command in commands:
        for pattern, what in table:
            found = re.fullmatch(pattern, command.text)
            if found:
                what(command, *found.groups())
                break
        else:
            raise Failure("nothing here knows how to run %s" % command)
