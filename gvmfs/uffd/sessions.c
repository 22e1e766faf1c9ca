// SPDX-License-Identifier: GPL-2.0-or-later
/* sessions.c - see sessions.h. */
#include "sessions.h"

#include "base/descriptors.h"
#include "state/release.h"
#include "state/worker.h"

#include <unistd.h>

#define RESERVED 4u /* sessions that a user who has one already does not get */

int attach_send(int to, const struct gvm_attach_msg *msg)
{
	return descriptors_send(to, msg, sizeof(*msg), NULL, 0);
}

int session_go(int to)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_GO);

	return attach_send(to, &msg);
}

void session_give(struct worker *w, unsigned session)
{
	w->sessions->used &= ~(1u << session);
}

void session_release(const int fd[SESSION_FDS], bool kept)
{
	/* Somebody has killed the visitor's process: better open for ever than waiting for a stranger. */
	bool last = !kept && fd[SESSION_SOCKET] >= 0 && !holder_lives(fd[SESSION_CHANNEL]);

	/* The channel is the last of them: see keeper.c. */
	for (unsigned i = 0; i < SESSION_FDS; i++)
		if (fd[i] >= 0 && !(last && (i == SESSION_UFFD || i == SESSION_SOCKET)))
			close(fd[i]);
}

/* A user who has sessions leaves the last ones to others. */
int session_take(struct worker *w, uint32_t uid)
{
	unsigned left = JOURNAL_SESSIONS - (unsigned)__builtin_popcount(w->sessions->used), has = 0;

	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		has += (w->sessions->used >> s & 1) && w->journal->sessions[s].uid == uid;
	if (uid && has && left <= RESERVED)
		return -1;
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		if (!(w->sessions->used >> s & 1)) {
			w->sessions->used |= 1u << s;
			w->journal->sessions[s].uid = uid;
			return (int)s;
		}
	return -1;
}
