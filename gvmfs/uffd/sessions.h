/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sessions.h - the journal's sessions: which are used and by whom, and how their descriptors are closed.
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
	bool held[JOURNAL_SESSIONS]; /* it is, but a predecessor still waits in its memory: lookout.h */
	unsigned held_count;	     /* of these */
	uint64_t held_until_ns[JOURNAL_SESSIONS]; /* 0: it is not known yet */
	unsigned go_next; /* of a predecessor's: the first whose client may still wait for GO */
	bool alone; /* the supervisor is gone, and keeps nothing any more */
};

/* A free one for a user, or -1. */
int session_take(struct worker *w, uint32_t uid);
/* Marks one of a predecessor's as used. */
void session_claim(struct worker *w, unsigned session);
/* It is over. */
void session_give(struct worker *w, unsigned session);
/* Closes its descriptors here (-1: none). `kept`: the supervisor has them as well. */
void session_release(const int fd[SESSION_FDS], bool kept);

/* Says GO to a client, or something else: 0 or a negative errno. */
int session_go(int to);
int handshake_send(int to, const struct gvm_attach_msg *msg);

#endif
