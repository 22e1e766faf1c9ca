/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chance.h - a simulator's chance, which a seed repeats, and its clock. */
#ifndef SIM_CHANCE_H
#define SIM_CHANCE_H

#include <stdint.h>
#include <time.h>

static uint64_t chance_state;

static uint32_t pick(uint32_t below)
{
	/* xorshift64* */
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (uint32_t)(((chance_state * 0x2545f4914f6cdd1dull) >> 32) * below >> 32);
}

static void chance_begin(uint64_t seed)
{
	chance_state = seed * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned i = 0; i < 8; i++)
		pick(2);
}

static double chance_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
