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

#define DEPTH 400u
#define FINISH_EVERY 64u

/* Known states: an open table of hashes. */
static uint64_t *known;
static uint64_t known_size, known_count;

static bool known_add(uint64_t hash)
{
	uint64_t at;

	hash |= !hash;
	for (at = hash & (known_size - 1); known[at]; at = (at + 1) & (known_size - 1))
		if (known[at] == hash)
			return false;
	known[at] = hash;
	known_count++;
	return true;
}

/* The way to the present state: at each step the state, the event to be tried next, and the one it came by. */
static struct step {
	unsigned next, came;
	uint8_t *state;
} stack[DEPTH];
static unsigned depth;

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
		if (*wrong || ((!x->over || !x->over()) && known_count < bound && depth + 1 < DEPTH && known_add(x->hash()))) {
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
	*transitions = 0;
	x->begin(c);
	stack[0].next = 0;
	save(x);
	known_add(x->hash());
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

static int run(const struct explore *x, const char *name, uint64_t bound, bool show)
{
	unsigned found = 0;

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
		       known_count >= bound ? "not all: " : "", (unsigned long long)known_count,
		       (unsigned long long)transitions, seconds() - began);
		if (wrong) {
			for (unsigned k = 1; show && k <= depth; k++)
				x->print_event(stack[k].came);
			if (show)
				x->print_world();
			printf("%s: %s\n", c->name, wrong);
			return 1;
		}
		fflush(stdout);
	}
	return found ? 0 : 2;
}

int explore_main(const struct explore *x, int argc, char **argv)
{
	uint64_t bound = 1000000;
	uint8_t *states = malloc(DEPTH * (x->world_bytes + x->left_bytes));
	bool show = false;
	int at = 1, failed = 0;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "-t"))
			show = true;
		else if (!strcmp(argv[at], "-m") && at + 1 < argc)
			mutant_chosen = argv[++at];
		else if (!strcmp(argv[at], "-n") && at + 1 < argc)
			bound = strtoull(argv[++at], NULL, 10);
	}
	for (known_size = 1024; known_size < 2 * bound; known_size *= 2)
		;
	known = calloc(known_size, sizeof(*known));
	if (!known || !states)
		return 2;
	for (unsigned i = 0; i < DEPTH; i++)
		stack[i].state = states + i * (x->world_bytes + x->left_bytes);
	if (at == argc)
		return run(x, NULL, bound, show);
	for (; at < argc && !failed; at++)
		failed = run(x, argv[at], bound, show);
	return failed;
}
