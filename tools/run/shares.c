// SPDX-License-Identifier: GPL-2.0-or-later
#include "shares.h"

#include <assert.h>

/* A region that uses less than its share wants so much more than it has, to grow into. */
#define GROW_MIN (16ull << 20)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t share_want(const struct run_share *s)
{
	uint64_t grow = s->resident_bytes / 4 > GROW_MIN ? s->resident_bytes / 4 : GROW_MIN;
	uint64_t want = s->size_bytes;

	if (s->bytes && !s->hungry)
		want = least(s->resident_bytes + grow, s->bytes - s->bytes / 8);
	want = least(want, s->size_bytes);
	return want > RUN_SHARE_MIN ? want : RUN_SHARE_MIN;
}

/* What there is beside RUN_SHARE_MIN for each of n. */
static uint64_t above_least(unsigned n, uint64_t local_bytes)
{
	return local_bytes > n * RUN_SHARE_MIN ? local_bytes - n * RUN_SHARE_MIN : 0;
}

void run_shares_divide(struct run_share *share, unsigned n, uint64_t local_bytes)
{
	uint64_t left = above_least(n, local_bytes);
	bool again = n != 0;

	for (unsigned i = 0; i < n; i++) {
		assert(share[i].size_bytes);
		share[i].want_bytes = share_want(&share[i]) - RUN_SHARE_MIN;
		share[i].fixed = false;
	}
	/* A region that wants less than a fair part gets that; what is left is divided among the others. */
	while (again) {
		uint64_t before = left;
		double weights = 0;

		again = false;
		for (unsigned i = 0; i < n; i++)
			weights += share[i].fixed ? 0 : (double)share[i].size_bytes;
		for (unsigned i = 0; i < n; i++) {
			struct run_share *s = &share[i];
			uint64_t fair;

			if (s->fixed)
				continue;
			fair = (uint64_t)((double)before * (double)s->size_bytes / weights);
			s->bytes = RUN_SHARE_MIN + least(fair, s->want_bytes);
			assert(s->bytes <= RUN_SHARE_MIN || s->bytes <= s->size_bytes);
			if (s->want_bytes > fair)
				continue;
			s->fixed = again = true;
			left -= least(left, s->want_bytes);
		}
	}
}

void run_shares_scale(struct run_share *share, unsigned n, uint64_t local_bytes)
{
	uint64_t left = above_least(n, local_bytes);
	double before = 0;

	for (unsigned i = 0; i < n; i++)
		before += share[i].bytes > RUN_SHARE_MIN ? (double)(share[i].bytes - RUN_SHARE_MIN) : 0;
	for (unsigned i = 0; i < n; i++) {
		struct run_share *s = &share[i];
		uint64_t own = s->bytes > RUN_SHARE_MIN ? s->bytes - RUN_SHARE_MIN : 0, size;

		size = s->size_bytes > RUN_SHARE_MIN ? s->size_bytes : RUN_SHARE_MIN;
		s->bytes = RUN_SHARE_MIN + (own ? (uint64_t)((double)left * (double)own / before) : 0);
		s->bytes = least(s->bytes, size);
	}
}
