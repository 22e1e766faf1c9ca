// SPDX-License-Identifier: GPL-2.0-or-later
/* explore.c - see explore.h. */
#include "explore.h"

#undef malloc /* a world's sources may have others */
#undef calloc
#undef free

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH 100000u
#define FINISH_EVERY 64u

/* Known states: an open table of hashes. */
static uint64_t *known;
static uint64_t known_size, known_count;

static uint64_t *known_find(uint64_t hash)
{
	uint64_t at;

	for (at = hash & (known_size - 1); known[at] && known[at] != hash; at = (at + 1) & (known_size - 1))
		;
	return &known[at];
}

/* The way to the present state: at each step the state, the event to be tried next, and the one it came by. */
static struct step {
	unsigned next, came;
	uint8_t *state; /* of the deepest way so far; NULL behind that */
} stack[DEPTH + 1]; /* the last is for what is wrong there */
static unsigned depth;

static bool cut; /* a state was left out, because there were too many or the way to it was too long */

static void save(const struct explore *x)
{
	memcpy(stack[depth].state, x->world, x->world_bytes);
	memcpy(stack[depth].state + x->world_bytes, x->left, x->left_bytes);
}

static void restore(const struct explore *x)
{
	memcpy(x->world, stack[depth].state, x->world_bytes);
	memcpy(x->left, stack[depth].state + x->world_bytes, x->left_bytes);
}

static const char *finish_from_here(const struct explore *x)
{
	const char *wrong = x->finish();

	restore(x);
	return wrong;
}

static bool has_room(const struct explore *x, unsigned at)
{
	if (at < DEPTH && !stack[at].state)
		stack[at].state = malloc(x->world_bytes + x->left_bytes);
	return at < DEPTH && stack[at].state;
}

/* Whether the present state is new, and then it is known from here on. */
static bool is_new(const struct explore *x, uint64_t bound)
{
	uint64_t hash = x->hash(), *place;

	hash |= !hash;
	place = known_find(hash);
	if (*place)
		return false;
	if (known_count >= bound || !has_room(x, depth + 1)) {
		cut = true;
		return false;
	}
	*place = hash;
	known_count++;
	return true;
}

/* Goes one step on, to a state that is new: false, if there is none. */
static bool step(const struct explore *x, uint64_t bound, uint64_t *transitions, const char **wrong)
{
	while (stack[depth].next < x->events) {
		unsigned event = stack[depth].next, next = event + 1;
		enum explore_went went = x->go(event, &next);

		stack[depth].next = next;
		if (went == WENT_BACK)
			restore(x);
		if (went != WENT_ON)
			continue;
		++*transitions;
		*wrong = x->check();
		if (*wrong || ((!x->over || !x->over()) && is_new(x, bound))) {
			stack[++depth].came = event;
			stack[depth].next = 0;
			if (*wrong)
				return true;
			save(x);
			if (known_count % FINISH_EVERY == 0)
				*wrong = finish_from_here(x);
			return true;
		}
		restore(x);
	}
	return false;
}

static const char *explore(const struct explore *x, unsigned c, uint64_t bound, uint64_t *transitions)
{
	const char *wrong = NULL;

	memset(known, 0, known_size * sizeof(*known));
	known_count = 0;
	depth = 0;
	cut = false;
	*transitions = 0;
	x->begin(c);
	stack[0].next = 0;
	save(x);
	is_new(x, bound);
	for (;;) {
		bool moved = step(x, bound, transitions, &wrong);

		if (wrong || (!moved && !depth))
			return wrong;
		if (!moved) {
			/* What can go on no more has to come to its end, too. */
			depth--;
			restore(x);
		}
	}
}

void explore_pair(unsigned pair, unsigned things, unsigned *a, unsigned *b)
{
	for (*a = 0; pair >= things - *a; ++*a)
		pair -= things - *a;
	*b = *a + pair;
}

void explore_limits_add(void *limits, const void *more, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)limits)[i] += ((const uint8_t *)more)[i];
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_meant(const struct explore_case *c, const char *name)
{
	if (!name)
		return !c->takes_long;
	return !strcmp(name, c->name) || (c->takes_long && !strcmp(name, "long"));
}

/* part: it may leave states out. */
static int run(const struct explore *x, const char *name, uint64_t bound, bool part, bool show)
{
	unsigned found = 0;
	bool whole = true;

	for (unsigned i = 0; i < x->cases; i++) {
		const struct explore_case *c = x->nth(i);
		double began = seconds();
		uint64_t transitions;
		const char *wrong;

		if (!is_meant(c, name))
			continue;
		found++;
		wrong = explore(x, i, bound, &transitions);
		printf("%s (%s): %s%llu states, %llu transitions, %.1f s\n", c->name, c->what,
		       cut ? "not all: " : "", (unsigned long long)known_count,
		       (unsigned long long)transitions, seconds() - began);
		if (wrong) {
			for (unsigned k = 1; show && k <= depth; k++)
				x->print_event(stack[k].came);
			if (show)
				x->print_world();
			printf("%s: %s\n", c->name, wrong);
			return 1;
		}
		if (cut && !part)
			printf("%s: more than %llu states, or more than %u events in a row: -n allows that\n", c->name,
			       (unsigned long long)bound, DEPTH - 1);
		whole &= !cut;
		fflush(stdout);
	}
	return !found ? 2 : whole || part ? 0 : 3;
}

int explore_main(const struct explore *x, int argc, char **argv)
{
	uint64_t bound = 1000000;
	bool show = false, part = false;
	int at = 1, failed = 0;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "-t"))
			show = true;
		else if (!strcmp(argv[at], "-m") && at + 1 < argc)
			mutant_chosen = argv[++at];
		else if (!strcmp(argv[at], "-n") && at + 1 < argc) {
			bound = strtoull(argv[++at], NULL, 10);
			part = true;
		}
	}
	part |= mutant_chosen != NULL;
	free(known);
	for (known_size = 1024; known_size < 2 * bound; known_size *= 2)
		;
	known = calloc(known_size, sizeof(*known));
	if (!known || !has_room(x, 0)) {
		fprintf(stderr, "no memory for %llu states\n", (unsigned long long)bound);
		return 2;
	}
	if (at == argc)
		return run(x, NULL, bound, part, show);
	for (; at < argc && !failed; at++)
		failed = run(x, argv[at], bound, part, show);
	return failed;
}
