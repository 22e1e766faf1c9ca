# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file of the tree uses which: by the sources, without a build.

A file here is a name without its ending: foo.c and foo.h are one, "kmod/foo". It uses another if it includes its
header, or names a function or a variable that the other defines and does not keep to itself.
"""

import os
import re

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)
DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.M)
NAME = re.compile(r'[A-Za-z_]\w*')
MACRO = re.compile(r'^[ \t]*#[ \t]*define[ \t]+(\w+)((?:[^\n]*\\\n)*[^\n]*)', re.M)
# The names of headers, tags and members.
NO_USE = re.compile(r'^[ \t]*#[ \t]*include[^\n]*|\b(?:struct|union|enum)\s+\w+|(?:\.|->)\s*[A-Za-z_]\w*', re.M)
FUNCTION = re.compile(r'([A-Za-z_]\w*)\s*\(')
VARIABLE = re.compile(r'([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*$')
PRIVATE = re.compile(r'\b(?:static|extern|typedef)\b')
NO_NAMES = {"__attribute__", "__acquires", "__releases", "__printf", "__counted_by", "DEFINE_SPINLOCK", "WRAPPER"}


def bare(text):
    """Without comments, and without what stands between quotes."""
    return COMMENT.sub(lambda m: " " if m.group()[0] == "/" else '""', text)


def outermost(code):
    """Its definitions and declarations: without directives, each body and initialiser as {}."""
    out, depth = [], 0
    for piece in re.split(r'([{}])', DIRECTIVE.sub("", code)):
        if piece == "{":
            if not depth:
                out.append("{}\0")
            depth += 1
        elif piece == "}":
            depth -= 1
        elif not depth:
            out.append(piece)
    return re.split(r'[;\0]', "".join(out))


def defined(code):
    """The functions and variables that this .c file has for others."""
    names = set()
    tail = False  # what stands behind the braces of a private type or table
    for said in outermost(code):
        said, after = said.strip(), tail
        tail = PRIVATE.search(said) is not None and "{}" in said
        if not said or PRIVATE.search(said) or (after and re.fullmatch(r'\w+(?:\[[^\]]*\])*', said)):
            continue
        whole, _, initialised = said.partition("=")
        head, body = whole.replace("{}", "").strip(), "{}" in whole
        if re.match(r'(?:struct|union|enum)\s*\w*$', head):
            continue
        functions = [name for name in FUNCTION.findall(head) if name not in NO_NAMES]
        if functions:
            if body:
                names.add(functions[0])
        elif VARIABLE.search(head) and len(NAME.findall(head)) > 1:
            names.add(VARIABLE.search(head).group(1))
    return names


class Tree:
    """The .c and .h files of some folders, and who uses whom."""

    def __init__(self, top, folders):
        self.top = top
        self.code, self.includes, self.macros = {}, {}, {}
        for folder in folders:
            self.read(folder)
        self.owner = {}
        for path, code in self.code.items():
            if path.endswith(".c"):
                for name in defined(code):
                    self.owner.setdefault(name, set()).add(path[:-2])

    def read(self, folder):
        for where, _, files in os.walk(os.path.join(self.top, folder)):
            for name in files:
                if not name.endswith((".c", ".h")):
                    continue
                path = os.path.relpath(os.path.join(where, name), self.top)
                with open(os.path.join(self.top, path), encoding="utf-8") as f:
                    text = f.read()
                self.includes[path] = [h for h in (self.header(path, h) for h in INCLUDE.findall(text)) if h]
                self.code[path] = bare(text)
                for macro, body in MACRO.findall(self.code[path]):
                    self.macros.setdefault(macro, set()).update(NAME.findall(body))

    def header(self, path, said):
        for folder in (os.path.dirname(path), path.split("/")[0], "", "memnode", "gvmfs"):
            found = os.path.normpath(os.path.join(folder, said))
            if os.path.exists(os.path.join(self.top, found)):
                return found
        return None

    def names(self, path):
        """What its code names, and what the macros among that name."""
        found, new = set(), set(NAME.findall(NO_USE.sub(" ", self.code[path])))
        while new:
            found |= new
            new = set().union(*(self.macros.get(name, set()) for name in new)) - found
        return found

    def calls(self, path):
        """Files whose functions or variables this one names, and a name for each."""
        found = {}
        for name in sorted(self.names(path)):
            for owner in self.owner.get(name, ()):
                if owner != path[:-2]:
                    found.setdefault(owner, name)
        return found

    def called(self, files):
        """{(file, file whose function or variable it names): that name} among these of one program."""
        found, files = {}, set(files)
        for path in sorted(self.code):
            if path.endswith(".c") and path[:-2] in files:
                for owner, name in self.calls(path).items():
                    if owner in files:
                        found[path[:-2], owner] = name
        return found

    def included(self, files):
        """{(path, file whose header it includes)} among these."""
        return {(path, header[:-2]) for path, headers in self.includes.items() for header in headers
                if path[:-2] in files and header[:-2] in files and header[:-2] != path[:-2]}


def circles(ties):
    """The sets of files that use each other round (Tarjan), the largest first."""
    after, index, low, stack, found = {}, {}, {}, [], []
    for one, other in ties:
        after.setdefault(one, []).append(other)

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in after.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(after):
        if node not in index:
            visit(node)
    return sorted(found, key=len, reverse=True)
