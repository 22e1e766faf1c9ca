# SPDX-License-Identifier: GPL-2.0-or-later
"""How Debian packages kernels: which packages a metapackage stands for today.

Up to Debian 13 a kernel with its modules is one package. Since then that one is empty, and depends on
one of the kernel, one of the modules, and one of what both need.
"""

import debian

IMAGE = "linux-image-cloud-amd64"
IMAGE_PARTS = ("linux-binary-", "linux-modules-", "linux-base-")
HEADERS = "linux-headers-"
HEADERS_PARTS = (HEADERS, "linux-kbuild-")


def named(meta, prefix, suite):
    """The one package with that prefix that a metapackage depends on."""
    packages = [name for name in debian.depends([meta], suite) if name.startswith(prefix)]
    if len(packages) != 1:
        raise LookupError("%s names no %s" % (meta, prefix.rstrip("-")))
    return packages[0]


def image(suite):
    """All that makes up the kernel of guests."""
    package = named(IMAGE, "linux-image-", suite)
    return [package, *(name for name in debian.depends([package], suite)
                       if name.startswith(IMAGE_PARTS))]


def headers(package, suite):
    """The same of headers: whatever else they depend on is the compiler and its like."""
    return [package, *(name for name in debian.depends([package], suite)
                       if name.startswith(HEADERS_PARTS))]
