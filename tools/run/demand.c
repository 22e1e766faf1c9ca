// SPDX-License-Identifier: GPL-2.0-or-later
#include "demand.h"

#include "memnode/size.h"

#include <assert.h>

#define SECOND_NS 1000000000ull
/* A guest that waits for each of them, some 0.2 ms, stands still for less than half a percent of its time, or for more
 * than two. */
#define MISSES_FEW  20u	 /* a second */
#define MISSES_MANY 100u /* a second */
#define SHRINK	    32u	 /* a budget loses this part of itself in a quiet second: three quarters in 44 s */
#define SHRINK_FAST 8u	 /* and where the host is short of memory */
#define GROW	    4u
#define GROW_MIN    (16 * MIB)
#define QUIET_NS    (10 * SECOND_NS) /* after it grew it does not shrink for so long */
#define HOST_SPARE  16u		     /* this part of its memory is the host's own */

uint64_t run_demand_keeps(uint64_t host_bytes)
{
	return host_bytes / HOST_SPARE;
}

/* What the host could still give; none: it is short of memory. */
static uint64_t host_spare(const struct run_demand_reading *r)
{
	uint64_t keeps = run_demand_keeps(r->host_bytes);

	return !r->host_bytes ? INT64_MAX : r->free_bytes > keeps ? r->free_bytes - keeps : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t within(const struct run_demand *d, const struct run_demand_reading *r, uint64_t bytes)
{
	bytes = least(bytes, least(d->max_bytes, r->size_bytes));
	bytes = least(bytes, r->resident_bytes + host_spare(r));
	return bytes > d->min_bytes ? bytes : d->min_bytes;
}

void run_demand_init(struct run_demand *d, uint64_t min_bytes, uint64_t max_bytes, const struct run_demand_reading *r,
		     uint64_t now_ns)
{
	assert(min_bytes && min_bytes <= max_bytes);
	*d = (struct run_demand){.min_bytes = min_bytes, .max_bytes = max_bytes, .misses = r->misses, .seen_ns = now_ns,
				 .grown_ns = now_ns};
	d->bytes = within(d, r, max_bytes);
}

uint64_t run_demand_step(struct run_demand *d, const struct run_demand_reading *r, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - d->seen_ns;
	uint64_t missed = r->misses > d->misses ? r->misses - d->misses : 0;
	double rate;

	if (passed_ns < SECOND_NS / 2)
		return d->bytes;
	rate = (double)missed * SECOND_NS / (double)passed_ns;
	d->misses = r->misses;
	d->seen_ns = now_ns;
	if (r->node_away) {
		d->grown_ns = now_ns; /* it will have to fetch what was not here */
		return d->bytes;
	}
	if (!host_spare(r)) {
		d->bytes = least(d->bytes, r->resident_bytes);
		d->bytes -= d->bytes / SHRINK_FAST;
	} else if (rate > MISSES_MANY) {
		d->bytes += d->bytes / GROW > GROW_MIN ? d->bytes / GROW : GROW_MIN;
		d->grown_ns = now_ns;
	} else if (rate < MISSES_FEW && now_ns - d->grown_ns >= QUIET_NS) {
		d->bytes -= d->bytes / SHRINK;
	}
	return d->bytes = within(d, r, d->bytes);
}
