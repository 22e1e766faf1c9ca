/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heir.h - how the next start of gvmfs at a place takes the mount over from a worker whose supervisor
 * was killed.
 *
 * Such a worker listens at a socket that is named after the mount's device, for its own user and root. It
 * is asked for the mount, and gives what a supervisor has: /dev/fuse, the journal, the descriptors of the
 * sessions. Then it ends, as if it had been killed: the heir's own worker is its successor. Users of the
 * mount and guests notice what they notice of a killed worker. Where the kernel does not send requests
 * again (before 6.9) the worker takes its mount off the place instead, and serves those who have it open.
 */
#ifndef GVMFS_HEIR_H
#define GVMFS_HEIR_H

#include "mount.h"
#include "state/journal.h"

/* ---- the heir */

/* Asks the worker of the mount at `path`. 1: it is taken over, `m` and `j` are filled in; 0: there is no
 * worker, or the place is free now; or a negative errno, which was logged. */
int heir_ask(const char *path, struct mount *m, struct journal *j);

/* ---- the worker */

/* Listens for an heir of the mount on this device: a descriptor, or a negative errno. */
int heir_listen(dev_t dev);
/* Removes the name of that. */
void heir_forget(dev_t dev);
/* Somebody has connected: a connection to an heir, or -1. */
int heir_accept(int listener);
/* Says that there is nothing to take over any more: the place is free. */
void heir_refuse(int connection);
/*
 * Gives everything; nothing may change it meanwhile. `fd_of` fills in a session's descriptors in this
 * process. 0: it is the heir's, and this process has to end at once; or a negative errno: it has nothing.
 */
int heir_give(int connection, const struct journal *j, int fuse_fd,
	      void (*fd_of)(void *arg, unsigned session, int fd[SESSION_FDS]), void *arg);

#endif
