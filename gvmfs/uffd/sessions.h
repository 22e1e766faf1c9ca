/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sessions.h - the journal's sessions (one for each region on the fast path): which are used, by
 * which user, and how their descriptors are closed.
 *
 * Front thread.
 */
#ifndef GVMFS_SESSIONS_H
#define GVMFS_SESSIONS_H

#include "gvm_attach.h"
#include "state/journal.h"

struct worker;

struct sessions {
	uint64_t used[JOURNAL_SESSIONS / 64]; /* bit s: session s is used, or about to be */
	unsigned count;			      /* of these */
	bool held[JOURNAL_SESSIONS]; /* used, but a predecessor's call still waits in its memory */
	unsigned held_count;	     /* of these */
	uint64_t held_until_ns[JOURNAL_SESSIONS]; /* when it may go on; 0: the call has not ended */
	unsigned go_next; /* the first session of a predecessor's whose client may still wait for GO */
	bool alone; /* the supervisor is gone, and keeps no descriptors any more */
};

/* Takes a free session for a user: its number, or -1. */
int session_take(struct worker *w, uint32_t uid);
/* Marks a predecessor's session as used. */
void session_claim(struct worker *w, unsigned session);
/* Marks a session as free. */
void session_give(struct worker *w, unsigned session);
/* Closes a session's descriptors in this process (-1: none). `kept`: the supervisor has them as
 * well. */
void session_release(const int fd[SESSION_FDS], bool kept);

/* Sends GO to a client, or any message: 0 or a negative errno. */
int session_go(int to);
int handshake_send(int to, const struct gvm_attach_msg *msg);

#endif
