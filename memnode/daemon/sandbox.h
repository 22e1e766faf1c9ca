/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - drops privileges that the node does not need, before it reads a byte from the
 * network.
 *
 * A step that a kernel, a container or a service manager does not allow is skipped, and named in
 * the log: a node may be confined from outside instead. Where a refused call could kill the process
 * (a filter that kills), a child tries it first.
 */
#ifndef GVM_SANDBOX_H
#define GVM_SANDBOX_H

#include <sys/types.h>

struct sandbox {
	const char *user; /* if started as root; NULL: nobody, if that is allowed */
	const int *calls; /* system calls of the engine, beside the loop's own; -1 at the end */
	/* Starts the program's threads, confined as it is; NULL: there are none. 0 or a negative errno. */
	int (*threads)(void *arg);
	void *arg;
	char without[400]; /* skipped steps, for the log; empty: none */
};

/*
 * As root: an empty root directory, then the identity of `user`. In any case: no access to files
 * and no new connections (Landlock), no new privileges, no core dumps or tracing by other
 * processes, and only the system calls that the loop makes; with the engine's own restrictions
 * (io.h) that leaves no way to open a file, connect, or run a program. The log's thread is
 * included. `why` names the step that failed.
 * -ENOENT: no such user.
 * Other errnos: of that step.
 */
int sandbox_enter(struct sandbox *sandbox, const char **why);

/* Adds a skipped step to `without` (which has `bytes`). */
void sandbox_lacks(char *without, size_t bytes, const char *what, int err);

/* 0, or the negative errno of `call` when a child makes it; -ENOSYS if that kills the child. */
int sandbox_try(int (*call)(const void *arg), const void *arg);

#endif
