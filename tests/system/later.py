# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian package as a later version of the same content."""

import os
import re

NEXT = "0.1.0+next"


def repacked(l, path, folder=None):
    """Its path, in the folder or the test's own."""
    tree, new = l.path("next"), os.path.join(folder or l.folder, ("" if folder else "next-") + os.path.basename(path))
    l.run("dpkg-deb", "-R", path, tree)
    control = os.path.join(tree, "DEBIAN/control")
    with open(control) as f:
        text = f.read()
    with open(control, "w") as f:
        f.write(re.sub(r"^Version: .*", "Version: " + NEXT, text, flags=re.M))
    l.run("dpkg-deb", "-Znone", "-b", tree, new)
    l.run("rm", "-r", tree)
    return new
