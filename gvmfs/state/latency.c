// SPDX-License-Identifier: GPL-2.0-or-later
/* latency.c - see latency.h. */
#include "latency.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_NS 8000ull
#define HALF_NS	 11314ull /* FIRST_NS times the square root of two */

static const char *const names[] = {[LATENCY_FAULT] = "fault", [LATENCY_READ] = "read", [LATENCY_PUT] = "put"};

uint64_t latency_bound_ns(unsigned bucket)
{
	return bucket % 2 ? HALF_NS << bucket / 2 : FIRST_NS << bucket / 2;
}

unsigned latency_bucket(uint64_t ns)
{
	unsigned doubled;

	if (ns <= FIRST_NS)
		return 0;
	doubled = 63 - (unsigned)__builtin_clzll((ns - 1) / FIRST_NS);
	if (2 * doubled + 1 >= LATENCY_BOUNDS)
		return LATENCY_BOUNDS;
	return 2 * doubled + 1 + (ns > HALF_NS << doubled);
}

static void one_add(struct latency *l, unsigned bucket, uint64_t ns)
{
	atomic_fetch_add_explicit(&l->count[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->sum_ns, ns, memory_order_relaxed);
}

void latency_add(struct latency *region, struct latency *mount, uint64_t ns)
{
	unsigned bucket = latency_bucket(ns);

	one_add(region, bucket, ns);
	one_add(mount, bucket, ns);
}

static size_t line_print(char *buf, size_t size, const char *stage, const char *what, uint64_t n)
{
	int bytes = snprintf(buf, size, "%s %s %" PRIu64 "\n", stage, what, n);

	return (size_t)bytes < size ? (size_t)bytes : size;
}

size_t latency_print(const struct latency stages[LATENCY_STAGES], char *buf, size_t size)
{
	char bound[24];
	size_t n = 0;

	for (unsigned s = 0; s < LATENCY_STAGES; s++) {
		uint64_t all = 0;

		for (unsigned b = 0; b <= LATENCY_BOUNDS; b++) {
			uint64_t count = atomic_load_explicit(&stages[s].count[b], memory_order_relaxed);

			if (!count)
				continue;
			all += count;
			snprintf(bound, sizeof(bound), "%" PRIu64, b < LATENCY_BOUNDS ? latency_bound_ns(b) : 0);
			n += line_print(buf + n, size - n, names[s], b < LATENCY_BOUNDS ? bound : "inf", count);
		}
		if (all)
			n += line_print(buf + n, size - n, names[s], "sum",
					atomic_load_explicit(&stages[s].sum_ns, memory_order_relaxed));
	}
	return n;
}
