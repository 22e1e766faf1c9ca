// SPDX-License-Identifier: GPL-2.0-or-later
/* session_resume.c - see session_resume.h. */
#include "session_resume.h"

#include "base/log.h"
#include "resident.h"
#include "sessions.h"
#include "state/keeper.h"
#include "state/lookout.h"
#include "state/worker_state.h"

#include <stdlib.h>

#define HELD_NS	     500000000ull /* doubles with each further time that a session is held */
#define HELD_LOOK_NS 20000000ull
#define GO_MAX	     8u
#define GO_NS	     2000000ull

/* Serves a session of a predecessor. Its client may still wait for GO: see sessions_go(). */
static int session_resume(struct worker *w, unsigned session)
{
	const struct journal_session *s = &w->journal->sessions[session];
	int fd[SESSION_FDS], error;
	struct inode *inode;

	for (unsigned i = 0; i < SESSION_FDS; i++)
		fd[i] = s->fd[i] - 1;
	/* A client that was not sent GO maps the file instead; and no region is on the fast path
	 * twice. */
	if (!s->live || inode_get(w->inodes, s->inode)->resident) {
		session_release(fd, true);
		keeper_drop(w->keeper_fd, w->journal, session);
		return 0;
	}
	session_claim(w, session);
	error = resident_open(w, session, fd);
	if (error)
		return error;
	if (session < w->sessions->go_next)
		w->sessions->go_next = session;
	inode = inode_get(w->inodes, s->inode);
	if (s->settled == SESSION_TOLD)
		resident_give_again(inode->resident);
	if (s->settled == SESSION_SETTLED) {
		journal_publish32(&inode->disk->failed, (uint32_t)INODE_SETTLED); /* the predecessor may not have */
		resident_given(inode->resident);
	} else if (inode->disk->failed) { /* the predecessor may not have told the client */
		session_go(fd[SESSION_SOCKET]);
		resident_abort(inode->resident, "the region has failed");
	}
	return 0;
}

/* A thread of the predecessor may still put pages into the session's memory: the region is not
 * served before that call has ended, and later still if this happens again and again. */
static void session_hold(struct worker *w, unsigned session)
{
	const struct journal_session *s = &w->journal->sessions[session];
	struct inode *inode = inode_get(w->inodes, s->inode);

	if (!inode)
		return; /* then no request can name the region */
	session_claim(w, session);
	w->sessions->held[session] = true;
	w->sessions->held_count++;
	inode->in_handshake = inode->held_up = true;
	log_warning(inode->disk->rec.name, "the region waits until process %d lets pages into its memory",
		    s->pid);
}

static void session_let_go(struct worker *w, unsigned session)
{
	struct inode *inode = inode_get(w->inodes, w->journal->sessions[session].inode);

	w->sessions->held[session] = false;
	w->sessions->held_count--;
	w->sessions->held_until_ns[session] = 0;
	inode->in_handshake = inode->held_up = false;
	log_info(inode->disk->rec.name, "the region goes on");
	if (session_resume(w, session) < 0)
		abort(); /* as at the start: the successor tries again */
	if (inode->resident && w->draining)
		resident_abort(inode->resident, "the mount has ended");
	else if (!inode->resident)
		w->residents->on_close(w, inode);
}

/* Sends GO to clients of a predecessor that may not have received it: a few at a time, since each
 * wakes a process. Returns when to go on; ~0: all have it. */
static uint64_t sessions_go(struct worker *w, uint64_t now_ns)
{
	unsigned *s = &w->sessions->go_next;

	for (unsigned n = 0; *s < JOURNAL_SESSIONS && n < GO_MAX; ++*s) {
		struct resident *r = w->residents->list[*s];

		if (!r || !w->journal->sessions[*s].live)
			continue;
		resident_go(r);
		n++;
	}
	return *s < JOURNAL_SESSIONS ? now_ns + GO_NS : ~0ull;
}

/* Checks for itself whether the call has ended: a supervisor that is not the predecessor's parent
 * cannot tell. */
static bool is_held(struct worker *w, unsigned session)
{
	return !lookout_call_ended(w->journal, session);
}

/* Returns when to look again: at once if a session was let go, since its region needs its first
 * turn. */
static uint64_t sessions_held_tick(struct worker *w, uint64_t now_ns)
{
	bool let_go = false;

	for (unsigned s = 0; s < JOURNAL_SESSIONS && w->sessions->held_count; s++) {
		uint64_t *until = &w->sessions->held_until_ns[s];
		uint32_t count = w->journal->sessions[s].held_count;

		if (!w->sessions->held[s] || is_held(w, s))
			continue;
		if (!*until)
			*until = now_ns + (count < 2 ? 0 : HELD_NS << (count < 8 ? count : 8));
		if (*until <= now_ns) {
			session_let_go(w, s);
			let_go = true;
		}
	}
	if (let_go)
		return now_ns;
	return w->sessions->held_count ? now_ns + HELD_LOOK_NS : ~0ull;
}

int sessions_resume(struct worker *w)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++) {
		int error = 0;

		if (!w->journal->sessions[s].kept)
			continue;
		if (lookout_is_held(w->journal, s))
			session_hold(w, s);
		else
			error = session_resume(w, s);
		if (error)
			return error;
	}
	return 0;
}

uint64_t sessions_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t held = sessions_held_tick(w, now_ns), go = sessions_go(w, now_ns);

	return go < held ? go : held;
}
