/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memcg_hold.h - which process owns a cgroup. Its maker keeps its folder open and locked (flock(2)) for as long
 * as it lives; children that it forks keep it, too, and programs that they execute do not.
 *
 * A pid in a name proves nothing: it may be one of another pid namespace, or be used again. A group
 * without a lock has no maker any more, and may be removed by a process that takes the lock.
 */
#ifndef TOOLS_MEMCG_HOLD_H
#define TOOLS_MEMCG_HOLD_H

#include <stdbool.h>

/* Locks the group: a descriptor, -EWOULDBLOCK: its maker lives, -ENOENT: it is gone (again), or
 * another negative errno. */
int memcg_hold(const char *path);

/* Whether the path still is the group that the descriptor holds. */
bool memcg_holds(int fd, const char *path);

#endif
