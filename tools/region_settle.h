/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_settle.h - has the guest of a region on the fast path go on without gvmfs. */
#ifndef TOOLS_REGION_SETTLE_H
#define TOOLS_REGION_SETTLE_H

#include <stdbool.h>

/* `force`: also where this host may not have the memory for it. The exit status; all has been said. */
int region_settle(const char *path, bool force);

#endif
