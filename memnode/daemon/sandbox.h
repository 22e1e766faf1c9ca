/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - gives up what the node does not need, before it reads a byte from the network.
 *
 * What a kernel, a container or a service manager does not allow is gone without, and named: a node
 * that is confined from outside serves as well. Where a refused call would end the process (a filter
 * that kills), a child tries it first.
 */
#ifndef GVM_SANDBOX_H
#define GVM_SANDBOX_H

#include <sys/types.h>

struct sandbox {
	const char *user; /* where started as root; NULL: nobody, if that can be had */
	const int *calls; /* the system calls that the engine makes beside the loop's own; -1 at the end */
	char without[400]; /* what could not be had, for the log; empty: nothing */
};

/*
 * As root: an empty root directory, then the identity of `user`. In any case: no files and no
 * connections any more (Landlock), no new privileges, no core dumps or tracing by others, and only
 * the system calls that the loop makes; with the engine's own restrictions (io.h) that leaves no way
 * to open a file, connect, or run a program. The log's thread is included.
 * `why` names the step that failed. 0 or a negative errno (-ENOENT: no such user).
 */
int sandbox_enter(struct sandbox *sandbox, const char **why);

/* Notes in `without` (which has `bytes`) that `what` could not be had. */
void sandbox_lacks(char *without, size_t bytes, const char *what, int err);

/* 0, or the negative errno of `call` when a child makes it; -ENOSYS if that kills the child. */
int sandbox_try(int (*call)(const void *arg), const void *arg);

#endif
