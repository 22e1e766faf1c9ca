// SPDX-License-Identifier: GPL-2.0-or-later
/* sessions.c - see sessions.h. */
#include "sessions.h"

#include "state/post.h"
#include "state/release.h"
#include "state/worker_state.h"

#include <unistd.h>

#define RESERVED 32u /* the last free sessions: for users who have none yet */

int handshake_send(int to, const struct gvm_attach_msg *msg)
{
	return post_send(to, msg, sizeof(*msg), NULL, 0);
}

int session_go(int to)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_GO);

	return handshake_send(to, &msg);
}

static bool is_used(const struct sessions *ss, unsigned session)
{
	return ss->used[session / 64] >> session % 64 & 1;
}

void session_claim(struct worker *w, unsigned session)
{
	struct sessions *ss = w->sessions;

	ss->count += !is_used(ss, session);
	ss->used[session / 64] |= 1ull << session % 64;
}

void session_give(struct worker *w, unsigned session)
{
	struct sessions *ss = w->sessions;

	ss->count -= is_used(ss, session);
	ss->used[session / 64] &= ~(1ull << session % 64);
}

void session_release(const int fd[SESSION_FDS], bool kept)
{
	/* If the visitor's process was killed, this would be the last close, which may block: leave
	 * the client's descriptors open for ever instead. */
	bool last = !kept && fd[SESSION_SOCKET] >= 0 && !holder_lives(fd[SESSION_CHANNEL]);

	int rest[SESSION_FDS];
	unsigned count = 0;

	release_aside(fd[SESSION_MEMORY]);
	release_aside(fd[SESSION_MARKS]);
	/* The channel is closed last: see keeper.c. */
	for (unsigned i = SESSION_PINS; i < SESSION_FDS; i++)
		if (fd[i] >= 0 && !(last && (i == SESSION_UFFD || i == SESSION_SOCKET)))
			rest[count++] = fd[i];
	if (count)
		release_aside_all(rest, count);
}

static bool has_session(struct worker *w, uint32_t uid)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		if (is_used(w->sessions, s) && w->journal->sessions[s].uid == uid)
			return true;
	return false;
}

/* The last sessions are for users who have none yet; root may have them all. */
int session_take(struct worker *w, uint32_t uid)
{
	unsigned s = 0;

	if (uid && JOURNAL_SESSIONS - w->sessions->count <= RESERVED && has_session(w, uid))
		return -1;
	while (s < JOURNAL_SESSIONS && is_used(w->sessions, s))
		s++;
	if (s == JOURNAL_SESSIONS)
		return -1;
	session_claim(w, s);
	w->journal->sessions[s].uid = uid;
	return (int)s;
}
