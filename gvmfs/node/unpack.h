/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unpack.h - a thread that decodes chunks beside the front thread: those that nobody waits for yet, as those ahead of a
 * reader in order.
 *
 * To decode a chunk takes as long as to put it into a guest's memory. While several chunks are on their way, the front
 * gives away what nobody waits for yet, and goes on with what is decoded; what the other thread has not begun when
 * the front has nothing else to do, or when an access comes that waits for it, the front decodes itself. So nothing is lost
 * where that thread gets no CPU: even what it has begun the front takes back, and decodes into another buffer.
 *
 * Sealed ones are opened there, too, each thread with a sealer of its own; that they are what is known (seal_judge()), the
 * caller has seen before.
 *
 *	FREE -> TODO	unpack_give()
 *	TODO -> BEGUN	the other thread, or the front, whichever is first
 *	BEGUN -> OVER	the other thread
 *	OVER -> FREE	the front, which calls done(); what it has decoded itself becomes FREE at once
 *
 * All calls are the front thread's. None waits for the other thread, and there is no lock that both take: who loses the CPU in
 * the middle of a change keeps nobody waiting. That thread is made when it is first needed.
 */
#ifndef GVMFS_UNPACK_H
#define GVMFS_UNPACK_H

#include "seal.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#define UNPACK_JOBS	 16u /* at a time: each has room for a chunk, as it came */
#define UNPACK_PAGES_MIN 16  /* what has fewer is decoded sooner than given away */

/* A part of a chunk, as it came in an answer. */
struct unpack_piece {
	struct gvm_id region;
	uint64_t chunk;
	bool sealed;
	uint32_t zero_pages; /* as for chunk_decode() or seal_open() */
	uint32_t pages; /* that are written */
	uint8_t **to;	/* where its owner notes the buffer: unpack_hurry() may exchange it */
	/* From unpack_collect(), unpack_help() or unpack_hurry(): the outcome of chunk_decode() or seal_open(). */
	void (*done)(void *owner, const struct chunk_head *head, uint32_t got, int error);
	void *owner;
};

enum unpack_state { UNPACK_FREE, UNPACK_TODO, UNPACK_BEGUN, UNPACK_OVER };

struct unpack_job {
	_Atomic(enum unpack_state) state;
	bool left;	/* the front has taken it back: what becomes of it does not matter */
	uint32_t number; /* the lowest is decoded first */
	struct unpack_piece piece;
	struct chunk_head head;
	uint8_t *body, *to;
	uint32_t got;
	int error;
};

/* What a thread decodes with; no other uses it meanwhile. */
struct unpack_means {
	struct chunk_codec *codec;
	struct sealer *sealer; /* NULL: nothing is sealed */
};

struct unpack {
	int event_fd; /* readable after unpack_may_sleep(), when something is done */
	struct unpack_means own, other; /* the front's, the other thread's */
	unsigned under_way; /* jobs that are not FREE */
	uint32_t given;	 /* so far */
	bool started;	 /* there is the other thread */
	bool refused;	 /* it could not be made: the front decodes everything */
	uint8_t *spare;	 /* a chunk's buffer, for unpack_hurry(); NULL: the other thread still writes to it */
	struct unpack_job job[UNPACK_JOBS];
	sem_t more;	 /* so many jobs were given, and not looked for by the other thread yet */
	atomic_uint over; /* jobs that are OVER, or become it just now */
	atomic_bool wakes; /* the front sleeps: who ends a job writes to event_fd */
};

/* Whether it pays to give away a part of a chunk that has these pages. `fetching`: fetches under way; `waited`: an
 * access waits for some of it. */
static inline bool unpack_pays(uint32_t pages, unsigned fetching, bool waited)
{
#ifdef UNPACK_ALWAYS /* a simulator */
	return true;
#endif
	return !waited && fetching > 1 && __builtin_popcount(pages) >= UNPACK_PAGES_MIN;
}

/* `own` is the front's; `sealer` for the other thread, as own->sealer NULL where nothing is sealed. 0 or a negative errno. */
int unpack_init(struct unpack *u, const struct unpack_means *own, struct sealer *sealer);
/* Takes a piece over, with copies of head and body. False: not now, the caller decodes it. */
bool unpack_give(struct unpack *u, const struct unpack_piece *piece, const struct chunk_head *head, const uint8_t *body);
/* Calls done() of what is decoded; returns how many there were. */
unsigned unpack_collect(struct unpack *u);
/* Decodes a piece that was not begun yet. False: there is none. */
bool unpack_help(struct unpack *u);
/* An access waits for what was given with this owner: if it is not decoded yet, it is now, by the front. Calls done(). */
void unpack_hurry(struct unpack *u, const void *owner);
/* The front wants to sleep: event_fd will wake it up. False: something is done already. */
bool unpack_may_sleep(struct unpack *u);
#endif
