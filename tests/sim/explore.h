/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explore.h - a model checker: every state that a world can reach, from its cases' beginnings on.
 *
 * From each state every event that is possible and that the case still allows is tried; in every state the world is
 * checked, and from one in 64 of them it goes on to its end. The search is depth-first; states are known by 64 bits
 * of hash, which the world makes of what matters in it (-d tells whether that is all of it). The world is plain memory at one address: a state is saved
 * and restored by copying it.
 */
#ifndef SIM_EXPLORE_H
#define SIM_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct explore_case {
	const char *name, *what;
	bool takes_long; /* only if it is asked for */
};

/*
 * Cases of every two of some things, beside one more thing: what a model calls `pairs`. A model's limits are bytes, each of
 * which says how often an event may still happen.
 */
#define EXPLORE_PAIRS(things) ((things) * ((things) + 1) / 2)

/* Which two the pair is of; a <= b. */
void explore_pair(unsigned pair, unsigned things, unsigned *a, unsigned *b);
void explore_limits_add(void *limits, const void *more, size_t bytes);

enum explore_went {
	WENT_NOT,  /* it is not allowed, or not possible, and nothing has changed */
	WENT_BACK, /* likewise, but the world is to be restored */
	WENT_ON,
};

struct explore {
	void *world, *left; /* left: what may still happen, counted */
	size_t world_bytes, left_bytes;
	unsigned cases, events;
	const struct explore_case *(*nth)(unsigned c);
	void (*begin)(unsigned c);	/* world and left are as the case begins */
	/* *next: the event to be tried after it in the same state; it may be set higher. */
	enum explore_went (*go)(unsigned event, unsigned *next);
	uint64_t (*hash)(void);
	bool (*over)(void);		/* nothing can follow this state; may be NULL */
	const char *(*check)(void);	/* NULL, or what is wrong */
	const char *(*finish)(void);
	void (*print_event)(unsigned event);
	void (*print_world)(void);
};

/*
 * prog [-d] [-m MUTANT] [-n STATES] [-t] [CASE... | long]: 0; 1: something is wrong, which was said; 2: usage, or no memory;
 * 3: a case has states that were not looked at, though neither -n nor -m allows that. -d: what follows states of one hash is
 * compared, too: else a hash that leaves out what decides would hide states. -t: shows the way to what is wrong.
 */
int explore_main(const struct explore *x, int argc, char **argv);

extern const char *mutant_chosen; /* the program's */

#endif
