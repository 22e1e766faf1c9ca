/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unpack.h - a thread that decodes chunks beside the front thread: those that nobody waits for yet, as those ahead of a
 * reader in order.
 *
 * To decode a chunk takes as long as to put it into a guest's memory. While several chunks are on their way, the front
 * gives away what nobody waits for yet, and goes on with what is decoded; what the other thread has not begun when
 * the front has nothing else to do, the front decodes itself. So nothing is lost where that thread gets no CPU.
 *
 * A job goes from `free` to `todo` (unpack_give()), to a thread that decodes it, and to `over`; done() is called by the
 * front alone, and the job is free again. All calls are the front thread's, and none waits for the other thread, which
 * is made when it is first needed.
 */
#ifndef GVMFS_UNPACK_H
#define GVMFS_UNPACK_H

#include "codec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define UNPACK_JOBS	 16u /* at a time: each has room for a chunk, as it came */
#define UNPACK_PAGES_MIN 16  /* what has fewer is decoded sooner than given away */

/* A part of a chunk, as it came in an answer. */
struct unpack_piece {
	struct gvm_id region;
	uint64_t chunk;
	uint32_t zero_pages; /* as for chunk_decode(), and: */
	uint8_t *to;
	/* From unpack_collect() or unpack_help(): chunk_decode()'s outcome. */
	void (*done)(void *owner, const struct chunk_head *head, uint32_t got, int error);
	void *owner;
};

struct unpack_job {
	struct unpack_piece piece;
	struct chunk_head head;
	uint8_t *body;
	uint32_t got;
	int error;
	STAILQ_ENTRY(unpack_job) entry;
};
STAILQ_HEAD(unpack_jobs, unpack_job);

struct unpack {
	int event_fd; /* readable after unpack_may_sleep(), when something is done */
	struct chunk_codec *own, *other; /* the front's, the other thread's */
	unsigned under_way; /* jobs that are not in `free` */
	bool started; /* there is the other thread */
	bool refused; /* it could not be made: the front decodes everything */
	struct unpack_job job[UNPACK_JOBS];
	struct unpack_jobs free;
	atomic_uint queued, ended; /* jobs in `todo` and in `over`; changed under lock */
	pthread_mutex_t lock;
	pthread_cond_t more; /* `todo` has a job */
	struct unpack_jobs todo, over; /* under lock, as are the next ones */
	bool idle;  /* the other thread waits for `more` */
	bool wakes; /* the front sleeps: who ends a job writes to event_fd */
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

/* `codec` is the front's. 0 or a negative errno. */
int unpack_init(struct unpack *u, struct chunk_codec *codec);
/* Takes a piece over, with copies of head and body. False: not now, the caller decodes it. */
bool unpack_give(struct unpack *u, const struct unpack_piece *piece, const struct chunk_head *head, const uint8_t *body);
/* Calls done() of what is decoded; returns how many there were. */
unsigned unpack_collect(struct unpack *u);
/* Decodes a piece that was not begun yet. False: there is none. */
bool unpack_help(struct unpack *u);
/* The front wants to sleep: event_fd will wake it up. False: something is done already. */
bool unpack_may_sleep(struct unpack *u);
#endif
