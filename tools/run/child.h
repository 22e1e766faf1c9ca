/* SPDX-License-Identifier: GPL-2.0-or-later */
/* child.h - QEMU as a child: in its group, under its filter. */
#ifndef TOOLS_RUN_CHILD_H
#define TOOLS_RUN_CHILD_H

#include "budget.h"
#include "memcg.h"

#include <signal.h>

/*
 * Starts argv in the group. `mask` is the signal mask that it gets. It is told to end when the
 * caller dies, and madvise(MADV_HUGEPAGE) does nothing in it: on a mapped region that advice would
 * make every fault read 4 MiB. The child's pid, or a negative errno with the step that failed in
 * *step ("exec" and so on).
 */
pid_t run_child_start(char *const argv[], const struct memcg *cg, const sigset_t *mask,
		      const char **step);

/* True where the filter needs no_new_privs (the caller may not filter system calls otherwise):
 * programs that QEMU starts cannot gain privileges then. */
bool run_child_loses_privileges(void);

#endif
