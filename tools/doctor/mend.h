/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mend.h - what gvm doctor --fix does about a finding. */
#ifndef TOOLS_DOCTOR_MEND_H
#define TOOLS_DOCTOR_MEND_H

#include "judge.h"

/* 1: there is nothing that is safe. 0: done. A negative errno: tried in vain. `root` as in probe.h:
 * no module is loaded below one. */
int doctor_mend(const char *root, const struct doctor_finding *finding);

#endif
