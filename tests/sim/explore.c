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

/*
 * -d: that no hash leaves out what decides. Of some states it is kept what can follow them, as a digest, and the states
 * themselves where they are to be shown; each later state of the same hash must have the same followers.
 */
#define KEPT_EVERY  16u
#define KEPT_MAX    (1u << 19)
#define LEAKS_EVERY 64u

static bool compares, shows;
static struct kept {
	uint64_t hash, follows;
	uint8_t *state; /* or NULL */
} kept[KEPT_MAX]; /* an open table */
static unsigned kept_count;
static uint8_t *kept_now; /* the state whose followers are being looked at */
static bool leaks; /* an event that was not possible has changed a state */

static bool cut; /* a state was left out, because there were too many or the way to it was too long */

static void copy_out(const struct explore *x, uint8_t *to)
{
	memcpy(to, x->world, x->world_bytes);
	memcpy(to + x->world_bytes, x->left, x->left_bytes);
}

static void copy_in(const struct explore *x, const uint8_t *from)
{
	memcpy(x->world, from, x->world_bytes);
	memcpy(x->left, from + x->world_bytes, x->left_bytes);
}

static void save(const struct explore *x)
{
	copy_out(x, stack[depth].state);
}

static void restore(const struct explore *x)
{
	copy_in(x, stack[depth].state);
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

/* What can follow a state: by which event (one of them), in the order of their hashes, each once. */
#define FOLLOWERS 65536u

static struct follower {
	uint64_t hash;
	unsigned event;
} followers[2][FOLLOWERS];

static int by_hash(const void *a, const void *b)
{
	const struct follower *f = a, *g = b;

	return f->hash < g->hash ? -1 : f->hash > g->hash;
}

/* Of the present state, which stays. */
static unsigned follow(const struct explore *x, struct follower *f)
{
	uint64_t hash = x->hash();
	unsigned n = 0, unlike = 0;

	copy_out(x, kept_now);
	for (unsigned event = 0, next; event < x->events && n < FOLLOWERS; event = next) {
		enum explore_went went;

		next = event + 1;
		went = x->go(event, &next);
		if (went == WENT_ON)
			f[n++] = (struct follower){ x->over && x->over() ? 1 : x->hash(), event };
		leaks |= went == WENT_NOT && hash % LEAKS_EVERY == 0 && memcmp(x->world, kept_now, x->world_bytes) &&
			 x->hash() != hash;
		if (went != WENT_NOT || leaks)
			copy_in(x, kept_now);
	}
	qsort(f, n, sizeof(*f), by_hash);
	for (unsigned i = 0; i < n; i++)
		if (!i || f[i].hash != f[unlike - 1].hash)
			f[unlike++] = f[i];
	return unlike;
}

static uint64_t follows(const struct explore *x)
{
	unsigned n = follow(x, followers[0]);
	uint64_t digest = n;

	for (unsigned i = 0; i < n; i++)
		digest = (digest ^ followers[0][i].hash) * 0x9e3779b97f4a7c15ull, digest ^= digest >> 29;
	return digest;
}

/* The present state's, by its hash; a place that is free if there is none. */
static struct kept *kept_find(uint64_t hash)
{
	unsigned at = hash / KEPT_EVERY % KEPT_MAX;

	while (kept[at].hash && kept[at].hash != hash)
		at = (at + 1) % KEPT_MAX;
	return &kept[at];
}

static void kept_clear(void)
{
	for (unsigned i = 0; i < KEPT_MAX; i++)
		free(kept[i].state);
	memset(kept, 0, sizeof(kept));
	kept_count = 0;
}

/* Whether what follows the present state is not what followed one that had the same hash. */
static bool differs(const struct explore *x, uint64_t hash)
{
	struct kept *k = kept_find(hash);

	if (k->hash)
		return follows(x) != k->follows;
	if (kept_count >= KEPT_MAX / 2)
		return false;
	*k = (struct kept){ hash, follows(x), shows ? malloc(x->world_bytes + x->left_bytes) : NULL };
	if (k->state)
		copy_out(x, k->state);
	kept_count++;
	return false;
}

/* What follows one of two states of one hash, the present one and one from before, and not the other. */
static void difference_print(const struct explore *x, const struct kept *k)
{
	uint8_t *states[2] = { malloc(x->world_bytes + x->left_bytes), k->state };
	unsigned n[2], next;

	for (size_t i = 0; i < x->world_bytes; i++)
		if (((const uint8_t *)x->world)[i] != k->state[i])
			printf("byte %zu: %u, not %u\n", i, ((const uint8_t *)x->world)[i], k->state[i]);
	if (!states[0])
		return;
	copy_out(x, states[0]);
	for (unsigned side = 0; side < 2; side++) {
		copy_in(x, states[side]);
		printf("%s\n", side ? "before:" : "now:");
		x->print_world();
		n[side] = follow(x, followers[side]);
	}
	for (unsigned side = 0; side < 2; side++)
		for (unsigned i = 0; i < n[side]; i++) {
			const struct follower *f = &followers[side][i];

			if (bsearch(f, followers[!side], n[!side], sizeof(*f), by_hash))
				continue;
			printf("%s only: ", side ? "before" : "now");
			x->print_event(f->event);
			copy_in(x, states[side]);
			x->go(f->event, &next);
			x->print_world();
		}
	free(states[0]);
}

/* Whether the present state is new, and then it is known from here on. *unlike: one of the same hash leads elsewhere. */
static bool is_new(const struct explore *x, uint64_t bound, bool *unlike)
{
	uint64_t hash = x->hash(), *place;

	hash |= !hash;
	*unlike = compares && hash % KEPT_EVERY == 0 && (differs(x, hash) || leaks);
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
	bool unlike = false;

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
		if (*wrong || ((!x->over || !x->over()) && (is_new(x, bound, &unlike) || unlike))) {
			if (leaks)
				*wrong = "an event that is not possible changes a state";
			else if (unlike)
				*wrong = "what follows a state is not told by its hash";
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
	bool unlike;

	kept_clear();
	memset(known, 0, known_size * sizeof(*known));
	known_count = 0;
	depth = 0;
	cut = false;
	*transitions = 0;
	x->begin(c);
	stack[0].next = 0;
	save(x);
	is_new(x, bound, &unlike);
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
static int run(const struct explore *x, const char *name, uint64_t bound, bool part)
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
			for (unsigned k = 1; shows && k <= depth; k++)
				x->print_event(stack[k].came);
			if (shows && compares && kept_find(x->hash())->state)
				difference_print(x, kept_find(x->hash()));
			else if (shows)
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
	uint64_t bound = 1500000;
	bool part = false;
	int at = 1, failed = 0;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "-t"))
			shows = true;
		else if (!strcmp(argv[at], "-d"))
			compares = true;
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
	free(kept_now);
	kept_now = compares ? malloc(x->world_bytes + x->left_bytes) : NULL;
	if (!known || !has_room(x, 0) || (compares && !kept_now)) {
		fprintf(stderr, "no memory for %llu states\n", (unsigned long long)bound);
		return 2;
	}
	if (at == argc)
		return run(x, NULL, bound, part);
	for (; at < argc && !failed; at++)
		failed = run(x, argv[at], bound, part);
	return failed;
}
