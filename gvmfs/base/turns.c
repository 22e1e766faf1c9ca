// SPDX-License-Identifier: GPL-2.0-or-later
/* turns.c - see turns.h. */
#include "turns.h"

#include <stdbool.h>
#include <time.h>

static bool measured;
static uint64_t longest_ns; /* written by the front alone */
/* The last look, by the thread's own clock; 0: there was none. (If that thread was relieved meanwhile
 * (state/relief.h), what it did since counts, too.) */
static _Thread_local uint64_t looked_ns;

void turns_measure(void)
{
	measured = true;
}

void turns_look(void)
{
	struct timespec t;
	uint64_t now_ns;

	if (!measured)
		return;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	now_ns = (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
	if (looked_ns && now_ns - looked_ns > longest_ns)
		longest_ns = now_ns - looked_ns;
	looked_ns = now_ns;
}

uint64_t turns_longest_ns(void)
{
	uint64_t ns = longest_ns;

	longest_ns = 0;
	return ns;
}
