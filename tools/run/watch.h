/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watch.h - the time between QEMU's start and its end. */
#ifndef TOOLS_RUN_WATCH_H
#define TOOLS_RUN_WATCH_H

#include "budget.h"
#include "figures.h"
#include "memcg.h"

#include <signal.h>

/* Blocks the signals that run_watch() takes. `before` gets the mask as it was: the child's. */
int run_watch_begin(sigset_t *before);

/*
 * Keeps the group within the budget and passes signals on until `child` ends. A guest that was told
 * to end and does not within half a minute is killed. Returns the wait status.
 */
int run_watch(pid_t child, struct memcg *cg, struct run_budget *budget, struct run_figures *figures,
	      uint64_t *oom_kills);

/* Lets signals act as they did before. */
void run_watch_end(const sigset_t *before);

#endif
