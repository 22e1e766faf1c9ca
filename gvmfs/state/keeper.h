/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper.h - the supervisor keeps the descriptors of the fast path's sessions, so that a worker may
 * be killed: the memory, the userfaultfd and the client's socket stay open, and the next worker
 * inherits them under the numbers that the journal names. The last two are a stranger's: the visitor's
 * process (visitor.h) is the last to close them, or one that is made for that.
 *
 * A pair of sockets: keeper_keep() and keeper_drop() in a worker, keeper_serve() in the supervisor.
 */
#ifndef GVMFS_KEEPER_H
#define GVMFS_KEEPER_H

#include "journal.h"

struct keeper {
	int supervisor, worker; /* the two ends */
};

/* 0 or a negative errno. */
int keeper_create(struct keeper *k);

/* Worker: has the session's descriptors kept. When that is done, keeper_kept() returns its number.
 * 0 or a negative errno. */
int keeper_keep(int worker, unsigned session, const int fds[SESSION_FDS]);
/* Worker: the next session that is kept, -1 for none now, or KEEPER_GONE. Never blocks. */
#define KEEPER_GONE (-2)
int keeper_kept(int worker);
/* Worker: the session is over, and its descriptors are closed here. Its entry may be used again. */
void keeper_drop(int worker, const struct journal *j, unsigned session);

/* Supervisor: does what a worker asks for, and closes what belongs to no session any more. Never blocks. */
void keeper_serve(int supervisor, const struct journal *j);

#endif
