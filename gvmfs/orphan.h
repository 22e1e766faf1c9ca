/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orphan.h - a worker whose supervisor was killed goes on serving, and does the supervisor's
 * remaining duties: signals that ask to end, the socket's name, an heir (heir.h).
 *
 * Runs in a thread of its own, which may block: it logs and unmounts.
 */
#ifndef GVMFS_ORPHAN_H
#define GVMFS_ORPHAN_H

#include "mount.h"
#include "state/journal.h"
#include "uffd/listener.h"

/* `supervisor_fd` is a pidfd; `serve`: there is a mount. 0 or a negative errno. */
int orphan_watch(int supervisor_fd, struct mount *mount, const struct listener *listener,
		 const struct journal *journal);

/* A pipe on which the front thread is asked for copies of its descriptors (heir_copy()): their addresses; -1 if there
 * is none. */
int orphan_heirs(void);

/* At the worker's end: does what the supervisor would do after it. */
void orphan_finish(void);

#endif
