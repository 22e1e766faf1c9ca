/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.h - looks at this host, and changes nothing. */
#ifndef TOOLS_DOCTOR_PROBE_H
#define TOOLS_DOCTOR_PROBE_H

#include "facts.h"

/* `root`: proc and sys below it are looked at in the place of this host's, and nothing else; "":
 * this host. */
void doctor_probe(const char *root, struct doctor_facts *facts);

#endif
