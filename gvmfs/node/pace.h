/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pace.h - how quickly copies are made on other nodes: as quickly as faults bear, and at most at --repair-rate.
 *
 * Copies share links and nodes with what guests wait for. The front knows how long nodes take for its GETs: while copies are made
 * that is held beside what it was while none were. As long as it is little more, or nothing is waited for, the rate grows by an
 * eighth with each look; once it is more, it falls by a quarter, to a sixteenth of --repair-rate at the least. What a repair found
 * is forgotten once no copy has been made for PACE_IDLE_NS; what is felt until then tells nothing of a quiet time.
 *
 * Pure; the front thread looks, and the thread of conversations takes turns (pace_take()) at the rate.
 */
#ifndef GVMFS_PACE_H
#define GVMFS_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PACE_LOOK_NS  100000000ull  /* between two looks, */
#define PACE_ANSWERS  8u	    /* and so many GETs it takes to tell how long nodes take, */
#define PACE_LONG_NS  1000000000ull /* if they come within this time */
#define PACE_IDLE_NS  1000000000ull
#define PACE_FIRST    100000u /* the rate at which a repair begins, in kB/s */
#define PACE_BURST_NS 5000000ull /* what was not copied in so long may be made good */

struct pace {
	_Atomic uint32_t kbs;	 /* the rate; 0: PACE_FIRST */
	_Atomic uint64_t copied; /* bytes so far */
	uint64_t due_ns;	 /* no copy begins before this time; the thread of conversations' */
	/* the front's: */
	uint64_t look_ns, copied_then, copied_ns; /* the last look; and when something had been copied since the one before */
	uint64_t told_ns, answers_then, took_then_ns; /* the last look that could tell how long nodes take */
	uint64_t quiet_ns; /* how long a GET took while no copies were made, smoothed; 0: not known */
};

/* Looks at what was copied and fetched since the last time: `answers` GETs so far, which have taken `took_ns` together. `most`:
 * --repair-rate, MB/s. */
void pace_look(struct pace *p, uint64_t now_ns, uint64_t answers, uint64_t took_ns, unsigned most);

/* The rate now, and the lowest that it can be, in kB/s. */
uint32_t pace_kbs(const struct pace *p, unsigned most);
uint32_t pace_least(unsigned most);

/* Whether a copy may begin. */
static inline bool pace_allows(const struct pace *p, uint64_t now_ns)
{
	return now_ns >= p->due_ns;
}

/* A copy begins, of about so many bytes: the next waits for as long as this one may take. */
void pace_take(struct pace *p, uint64_t now_ns, uint32_t bytes, unsigned most);
/* It was of `bytes` instead of those. */
void pace_took(struct pace *p, uint32_t guess, uint32_t bytes, unsigned most);

#endif
