/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.h - gives up what the node does not need, before it reads a byte from the network.
 */
#ifndef GVM_SANDBOX_H
#define GVM_SANDBOX_H

#include <sys/types.h>

/*
 * As root: an empty root directory, then the identity of `user`. In any case: no new privileges, no
 * core dumps or tracing by others, and only the system calls that the loop makes; with the ring's
 * own restrictions (io.h) that leaves no way to open a file, connect, or run a program.
 * `why` names the step that failed. 0 or a negative errno (-ENOENT: no such user).
 */
int sandbox_enter(const char *user, const char **why);

#endif
