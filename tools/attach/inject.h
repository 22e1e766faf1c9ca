/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject.h - starts a clerk (clerk.h) in another process.
 *
 * A thread of the process is stopped while it waits in a system call, and sent on by way of a piece of code that keeps all of
 * its registers, does what is wanted, and goes on where the thread was: the registers that it is sent on with are the only
 * thing that changes, in one call. So this process may be killed at any moment: nothing waits for it. The first pieces are
 * put behind the end of the vdso's code, where nothing is; the process gets a page of its own of that.
 */
#ifndef TOOLS_ATTACH_INJECT_H
#define TOOLS_ATTACH_INJECT_H

#include "clerk.h"

#include <stddef.h>
#include <sys/types.h>

#define INJECT_ERR 256

/*
 * Copies the clerk and what it is told into the process, and has it begin. *there: where its struct clerk is. 0 or a negative
 * errno, with a sentence in err: then the clerk has not begun.
 */
int inject_clerk(pid_t pid, const struct clerk *told, uint64_t *there, char err[INJECT_ERR]);
/* Reads what it says (all before `lost`). -ESRCH: the process has ended. */
int inject_look(pid_t pid, uint64_t there, struct clerk *c);

#endif
