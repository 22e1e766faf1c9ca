# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages as files: named by apt, downloaded, unpacked, never installed.

A guest image takes the kernel, Redis and their libraries from here, so that building one changes
nothing on the host but the cache. Packages are those of the repositories that the system has, or of a
suite beside them, for which apt keeps lists of its own in the cache: "backports", the one that goes
with the system's release, or one of BESIDE.

A test fetches nothing: it runs where there is no network, and a cache that happens to have what it
asks for would only hide that. Inside one (GVM_TEST, which lab.py and tools/check set) apt is not asked at
all; what has been fetched before is found by its key. tools/check also says which keys it has prepared
(GVM_PREPARED, a file): there no other is found, whatever the cache has.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time


def cache_root():
    if os.environ.get("GVM_CACHE"):
        return os.environ["GVM_CACHE"]
    if os.geteuid() == 0:
        return "/var/cache/gvm"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "gvm")


IN_TEST, PREPARED = "GVM_TEST", "GVM_PREPARED"
PAUSES = (2, 5, 15)  # seconds before something that failed is fetched again


class NotPrepared(RuntimeError):
    pass


def in_test():
    return bool(os.environ.get(IN_TEST))


def fetches(what):
    """Says that `what` is about to be fetched, which a test must not."""
    if in_test():
        raise NotPrepared("a test fetches nothing, and %s is not prepared: run "
                          "sudo tools/check --prepare" % what)


def again(attempt, *failures):
    """What attempt() gives. One failed name look-up or download is no reason to give up."""
    for pause in PAUSES:
        try:
            return attempt()
        except failures as why:
            said = (str(why).strip().splitlines() or ["it failed"])[-1]
            print("%s; once more in %d s" % (said, pause), file=sys.stderr, flush=True)
        time.sleep(pause)
    return attempt()


class CacheLock:
    """Two builders at once wait for each other rather than fetch everything twice."""

    def __enter__(self):
        os.makedirs(cache_root(), exist_ok=True)
        self.file = open(os.path.join(cache_root(), "lock"), "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"
# Suites of any release, with those that they build upon: what both have comes from the last one. The more
# stable ones first. {stable} is today's name of the release: what a mirror has as "stable" itself may be old.
BESIDE = {
    "stable-backports": ("{stable}", "{stable}-backports"),
    "unstable": ("sid",),
    "experimental": ("sid", "experimental"),
}
NO_PACKAGES = ["-o", "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false"]


def _apt(command, *arguments, suite=None):
    fetches("what apt is asked for (%s)" % " ".join(arguments[-2:]))
    return subprocess.run([command, *_beside(suite), *arguments], check=True, text=True,
                          capture_output=True, env={**os.environ, "LC_ALL": "C"}).stdout


def _beside(suite):
    """apt's options to see that suite only; /etc/apt stays as it is."""
    if not suite:
        return []
    place = os.path.join(cache_root(), "apt-" + suite)
    options = ["-o", "Dir::Etc::sourcelist=%s/sources.list" % place,
               "-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::State::lists=%s/lists" % place,
               "-o", "Dir::Cache=%s/cache" % place]
    if suite in BESIDE:
        with open(os.path.join(place, "sources.list")) as f:
            last = f.read().split()[-2]
        options += ["-o", "Dir::State::status=/dev/null", "-o", "APT::Default-Release=" + last]
    return options


def _run(command, trouble, **options):
    """An apt-get that fetches; tried again where it fails."""
    def attempt():
        done = subprocess.run(command, text=True, capture_output=True,
                              env={**os.environ, "LC_ALL": "C"}, **options)
        if done.returncode:
            raise RuntimeError("%s: %s" % (trouble, done.stderr.strip()))
    again(attempt, RuntimeError)


def _update(suite):
    """Has apt fetch its lists; those of the system only as root."""
    fetches("a newer list of packages")
    if suite:
        names = BESIDE.get(suite, [release() + "-" + suite])
        stable = _codename("stable") if any("{" in name for name in names) else None
        _update_beside(suite, [name.format(stable=stable) for name in names])
        with open(_stamp(suite), "w"):
            pass
    elif os.geteuid():
        raise RuntimeError("only root may ask for newer lists of packages")
    else:
        _run(["apt-get", "-q", "update"], "cannot fetch the lists of packages")


def _update_beside(suite, names, *options):
    """Has apt fetch the lists of the suites with these names."""
    place = os.path.join(cache_root(), "apt-" + suite)
    for name in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(place, name), exist_ok=True)
    with open(os.path.join(place, "sources.list"), "w") as f:
        f.write(_sources(names, suite))
    _run(["apt-get", "-q", *_beside(suite), *options, "-o", "APT::Sandbox::User=root",
          "-o", "APT::Update::Error-Mode=any", "update"], "cannot fetch the lists of packages of " + suite)


def _codename(suite):
    _update_beside(suite, [suite], *NO_PACKAGES)
    lists = os.path.join(cache_root(), "apt-" + suite, "lists")
    for name in os.listdir(lists):
        if name.endswith(("_InRelease", "_Release")):
            with open(os.path.join(lists, name)) as f:
                said = re.search(r"^Codename: *(\S+)$", f.read(), re.M)
            if said:
                return said.group(1)
    raise LookupError("the mirror does not say what it has as " + suite)


def _stamp(suite):
    """Written whenever a suite's lists have been fetched."""
    return os.path.join(cache_root(), "apt-" + suite, "fetched")


def _lists_are_fresh(suite):
    try:
        return abs(time.time() - os.path.getmtime(_stamp(suite))) < 3600
    except OSError:
        return False


def _keyring(suite):
    """Whose signatures hold. The system's own suites get the keys of later releases in time, and may have
    a later keyring than is installed."""
    installed = os.path.join("/", KEYRING)
    if suite != "backports":
        return find(unpacked(["debian-archive-keyring"]), KEYRING)
    return installed if os.path.exists(installed) else None


def release():
    with open("/etc/os-release") as f:
        about = dict(line.strip().split("=", 1) for line in f if "=" in line)
    return about.get("VERSION_CODENAME", "stable")


def _sources(names, suite):
    """apt's lines for the suites with these names, at the system's own mirror."""
    own = release()
    known = _apt("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)",
                 "Created-By: Packages", "Origin: Debian").splitlines()
    mirrors = [uri for uri, _, name in (line.partition(" ") for line in known) if name == own]
    keyring = _keyring(suite)
    signed = "[signed-by=%s] " % keyring if keyring else ""
    return "".join("deb %s%s %s main\n" % (signed, (mirrors or ["http://deb.debian.org/debian"])[0], name)
                   for name in names)


def depends(packages, suite=None):
    """What apt would install for them directly: the first of each list of alternatives."""
    names, skipping = [], False
    for line in _apt("apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts",
                     "--no-breaks", "--no-replaces", "--no-enhances", *packages,
                     suite=suite).splitlines():
        word, _, name = line.strip().partition(": ")
        if word.lstrip("|") not in ("Depends", "PreDepends"):
            continue
        if not skipping and not name.startswith("<"):
            names.append(name)
        skipping = word.startswith("|")
    return names


def closure(packages, suite):
    """What apt would install of a suite for them on an empty machine: all that they need to run."""
    said = _apt("apt-get", "-s", "--no-install-recommends", "install", *packages, suite=suite)
    return [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]


def libraries(packages):
    """The packages given and every library package below them."""
    found, level = [], list(packages)
    while level:
        found += level
        level = sorted({name for name in depends(level)
                        if name.startswith("lib") and name not in found})
    return found


def candidates(packages, suite=None):
    """apt's choice of versions, as the names of the folders that the cache unpacks them to."""
    names, package = {}, None
    for line in _apt("apt-cache", "policy", *packages, suite=suite).splitlines():
        if not line.startswith(" "):
            package = line.rstrip(":")
        word, _, version = line.strip().partition(": ")
        if word == "Candidate" and version != "(none)":
            names[package] = "%s_%s" % (package, version.replace(":", "%3a"))
    for package in packages:
        if package not in names:
            raise LookupError("apt knows no package %s: is the list of packages there "
                              "(apt-get update)?" % package)
    return names


def unpacked(packages, suite=None):
    """The folders that hold what is in the packages' current versions."""
    fetches(" ".join(packages))
    root = os.path.join(cache_root(), "packages")
    os.makedirs(root, exist_ok=True)
    names = candidates(packages, suite)
    lacking = [p for p in packages if not os.path.isdir(os.path.join(root, names[p]))]
    with tempfile.TemporaryDirectory(prefix=".new-", dir=root) as work:
        if lacking:
            _run(["apt-get", "-q", *_beside(suite), "-o", "APT::Sandbox::User=root", "download",
                  *lacking], "cannot download %s" % " ".join(lacking), cwd=work)
        for package in lacking:
            deb, = [name for name in os.listdir(work)
                    if name.startswith(package + "_") and name.endswith(".deb")]
            tree = os.path.join(work, package)
            subprocess.run(["dpkg-deb", "-x", os.path.join(work, deb), tree], check=True)
            os.rename(tree, os.path.join(root, names[package]))
    return [os.path.join(root, names[package]) for package in packages]


def remembered(key, resolve, suite=None):
    """resolve()'s folders, asked of apt at most once a day (it takes seconds) while they exist; inside
    a test only what was prepared before it."""
    path = os.path.join(cache_root(), "resolved-" + key)
    known = []
    if os.path.exists(path):
        with open(path) as f:
            known = f.read().split("\n")
        if not all(os.path.isdir(tree) for tree in known):
            known = []
    if in_test():
        if not known or not _is_prepared(key):
            fetches(key)
        return known
    if not known or abs(time.time() - os.path.getmtime(path)) >= 86400:
        known = _resolved(path, known, resolve, suite)
    _note_prepared(key)
    return known


def _resolved(path, known, resolve, suite):
    try:
        trees = with_fresh_lists(resolve, suite)
    except (LookupError, RuntimeError, subprocess.CalledProcessError) as why:
        if not known:
            raise
        print("%s; going on with %s" % (why, " ".join(map(os.path.basename, known))),
              file=sys.stderr)
        return known
    with open(path, "w") as f:
        f.write("\n".join(trees))
    return trees


def _is_prepared(key):
    listed = os.environ.get(PREPARED)
    if not listed:
        return True
    try:
        with open(listed) as f:
            return key in f.read().splitlines()
    except FileNotFoundError:
        return False


def _note_prepared(key):
    if os.environ.get(PREPARED):
        with open(os.environ[PREPARED], "a") as f:
            f.write(key + "\n")


def with_fresh_lists(resolve, suite):
    """What apt's lists do not know, or know in a version that is gone, is asked for again. Nobody
    but us ever asks for a suite's."""
    if suite and not _lists_are_fresh(suite):
        _update(suite)
        return resolve()
    try:
        return resolve()
    except (LookupError, RuntimeError, subprocess.CalledProcessError) as why:
        try:
            _update(suite)
        except RuntimeError:
            raise why from None
        return resolve()


def find(trees, path):
    """A file of one of the trees; a link may lead into another package's."""
    for _ in range(8):
        for tree in trees:
            place = os.path.join(tree, path)
            if os.path.islink(place):
                path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(place)))
                break
            if os.path.exists(place):
                return place
        else:
            break
    raise LookupError("no package holds %s" % path)
