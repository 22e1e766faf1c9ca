/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper.h - the supervisor keeps the descriptors of the fast path's sessions, so that they survive a
 * killed worker: the memory, the userfaultfd and the client's socket stay open, and the next worker
 * inherits them under the numbers that are in the journal. Userfaultfd and socket came from an untrusted client:
 * the visitor's process (visitor.h), or one forked for that (release.h), makes their last close.
 *
 * A socket pair joins the two: keeper_keep() and keeper_drop() in a worker, keeper_serve() in the supervisor.
 */
#ifndef GVMFS_KEEPER_H
#define GVMFS_KEEPER_H

#include "journal.h"

struct keeper {
	int supervisor, worker; /* the two ends */
};

/* 0 or a negative errno. */
int keeper_create(struct keeper *k);

/* Worker: asks for the session's descriptors to be kept; keeper_kept() returns its number once they are.
 * The caller keeps its own copies. 0 or a negative errno. */
int keeper_keep(int worker, unsigned session, const int fds[SESSION_FDS]);
/* Worker: the number of the next session whose descriptors are kept; -1: none now; KEEPER_GONE: the supervisor has
 * ended. Never blocks. */
#define KEEPER_GONE (-2)
int keeper_kept(int worker);
/* Worker, which has closed its own copies: the session has ended. Its entry may be used again. */
void keeper_drop(int worker, const struct journal *j, unsigned session);

/* Supervisor: handles the worker's messages, and closes descriptors of sessions that have ended. Never blocks. */
void keeper_serve(int supervisor, const struct journal *j);
/* Supervisor, at its own end: closes everything. */
void keeper_end(struct keeper *k, const struct journal *j);

#endif
