/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session_set.h - a set of the journal's sessions, as a bitmap: to walk it costs the same however many sessions are not
 * in it. */
#ifndef GVMFS_SESSION_SET_H
#define GVMFS_SESSION_SET_H

#include "journal.h"

/* All zero: empty. */
struct session_set {
	uint64_t word[JOURNAL_SESSIONS / 64];
};

static inline void session_set_add(struct session_set *set, unsigned session)
{
	set->word[session / 64] |= 1ull << session % 64;
}

static inline void session_set_remove(struct session_set *set, unsigned session)
{
	set->word[session / 64] &= ~(1ull << session % 64);
}

static inline bool session_set_has(const struct session_set *set, unsigned session)
{
	return set->word[session / 64] >> session % 64 & 1;
}

/* The first member >= `session`; JOURNAL_SESSIONS: none. */
static inline unsigned session_set_next(const struct session_set *set, unsigned session)
{
	while (session < JOURNAL_SESSIONS) {
		uint64_t rest = set->word[session / 64] >> session % 64;

		if (rest)
			return session + (unsigned)__builtin_ctzll(rest);
		session += 64 - session % 64;
	}
	return JOURNAL_SESSIONS;
}

static inline bool session_set_is_empty(const struct session_set *set)
{
	return session_set_next(set, 0) == JOURNAL_SESSIONS;
}

#endif
