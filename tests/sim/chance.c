// SPDX-License-Identifier: GPL-2.0-or-later
/* chance.c - see chance.h. */
#include "chance.h"

#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t state;

uint32_t pick(uint32_t below)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(((state * 0x2545f4914f6cdd1dull) >> 32) * below >> 32);
}

void mixture_set(struct mixture *m, unsigned kind, uint32_t weight)
{
	m->sum += weight - m->weight[kind];
	m->weight[kind] = weight;
}

void mixture_make(struct mixture *m, const uint16_t *often, unsigned kinds, const unsigned *some, unsigned count,
		  uint64_t kept)
{
	assert(kinds <= MIXTURE_KINDS);
	*m = (struct mixture){ .sum = 0 };
	for (unsigned k = 0; k < kinds; k++)
		mixture_set(m, k, often[k]);
	mixture_vary(m, some, count, kept);
}

void mixture_vary(struct mixture *m, const unsigned *some, unsigned count, uint64_t kept)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned how = pick(6), k = some[i];

		if (how == 0 && !(kept >> k & 1))
			mixture_set(m, k, 0);
		else if (how == 1)
			mixture_set(m, k, m->weight[k] * 8);
		else if (how == 2)
			mixture_set(m, k, m->weight[k] / 4 + 1);
	}
}

unsigned mixture_pick(const struct mixture *m)
{
	uint32_t at = pick(m->sum);
	unsigned k = 0;

	while (at >= m->weight[k])
		at -= m->weight[k++];
	return k;
}

static void chance_begin(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned i = 0; i < 8; i++)
		pick(2);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define BACKWARDS_MAX 4096u

static bool backwards;
static uint64_t digests[BACKWARDS_MAX];

/* Of all that an episode has done by now: its chance, and how many events of each kind there were. */
static uint64_t digest(void)
{
	uint64_t d = state;

	for (unsigned k = 0; k < sim_kinds; k++)
		d = (d ^ sim_done[k]) * 0x9e3779b97f4a7c15ull;
	return d;
}

static const char *episode(uint64_t steps, uint64_t seed, uint64_t *took, uint64_t *what)
{
	const char *wrong;

	if (backwards)
		memset(sim_done, 0, sim_kinds * sizeof(*sim_done));
	chance_begin(seed);
	wrong = sim_episode(seed, steps, took);
	*what = digest();
	return wrong;
}

static const char *run(uint64_t steps, uint64_t seed, uint64_t *last, uint64_t *took)
{
	uint64_t what, ignored = 0;
	const char *wrong = NULL;

	*took = 0;
	for (*last = seed; !wrong && *took < steps; ++*last) {
		wrong = episode(steps, *last, took, &what);
		if (*last - seed < BACKWARDS_MAX)
			digests[*last - seed] = what;
	}
	--*last;
	if (wrong || !backwards || *last - seed >= BACKWARDS_MAX)
		return wrong;
	for (uint64_t s = *last + 1; !wrong && s-- > seed;) {
		wrong = episode(steps, s, &ignored, &what);
		if (!wrong && what != digests[s - seed]) {
			*last = s;
			wrong = "the episode depends on those before it";
		}
	}
	return wrong;
}

/* So many steps from this seed on: 0; or 1, and says what is wrong. */
static int simulate(uint64_t steps, uint64_t seed)
{
	double began = seconds();
	uint64_t last, took;
	const char *wrong = run(steps, seed, &last, &took);

	if (wrong) {
		if (world_trace)
			world_print();
		printf("seed %llu, step %llu of all: %s\n", (unsigned long long)last, (unsigned long long)took,
		       wrong);
		return 1;
	}
	printf("%llu steps in %llu episodes, %.1f s:", (unsigned long long)took,
	       (unsigned long long)(last - seed + 1), seconds() - began);
	for (unsigned k = 0; k < sim_kinds; k++)
		printf(" %llu", (unsigned long long)sim_done[k]);
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t steps;
	int at = 1, wrong = 0;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "-t"))
			world_trace = true;
		else if (!strcmp(argv[at], "-b"))
			backwards = true;
		else if (!strcmp(argv[at], "-m") && at + 1 < argc)
			mutant_chosen = argv[++at];
	}
	if (at >= argc) {
		fprintf(stderr, "usage: sim [-m MUTANT] [-t] [-b] STEPS [SEED ...]\n");
		return 2;
	}
	steps = strtoull(argv[at++], NULL, 10);
	if (at == argc)
		return simulate(steps, 1);
	for (; !wrong && at < argc; at++)
		wrong = simulate(steps, strtoull(argv[at], NULL, 10));
	return wrong;
}
