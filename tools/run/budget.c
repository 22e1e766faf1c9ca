// SPDX-License-Identifier: GPL-2.0-or-later
#include "budget.h"

#include <assert.h>
#include <string.h>

#define START_NS    (500ull * 1000 * 1000) /* the start's allowance holds for so long */
#define SETTLE_NS   (1000ull * 1000 * 1000) /* readings are closer after a change */
#define LOWER_BYTES (1ull << 20)  /* smaller steps down are not worth the reclaim */
#define RELIEF_STEP (16ull << 20) /* when a task waits for memory at the limit */
#define RELIEF_BACK (1ull << 20)

void run_budget_init(struct run_budget *b, uint64_t local_bytes, uint64_t now_ns)
{
	memset(b, 0, sizeof(*b));
	b->local_bytes = local_bytes;
	b->start_ns = b->moved_ns = now_ns;
	b->limit_bytes = local_bytes + RUN_BUDGET_START;
}

/* Once there is little room above what is wanted, it becomes much. */
static uint64_t fast_limit(const struct run_budget *b, uint64_t want)
{
	return want + RUN_BUDGET_START > b->limit_bytes ? want + 2 * RUN_BUDGET_START : 0;
}

uint64_t run_budget_step(struct run_budget *b, const struct memcg_stat *st, uint64_t now_ns)
{
	uint64_t own = st->usage > st->file ? st->usage - st->file : 0, want;

	if (now_ns - b->start_ns < START_NS && own < RUN_BUDGET_START)
		own = RUN_BUDGET_START;
	if (st->under_oom)
		b->relief_bytes += RELIEF_STEP;
	else if (b->relief_bytes)
		b->relief_bytes -= RELIEF_BACK;
	assert(b->relief_bytes % RELIEF_BACK == 0); /* or it would pass 0 on its way down */
	want = b->local_bytes + own + b->relief_bytes;
	assert(want >= b->local_bytes);
	if (b->fast)
		return fast_limit(b, want);
	if (want > b->limit_bytes || want + LOWER_BYTES <= b->limit_bytes)
		b->moved_ns = now_ns;
	return want > b->limit_bytes || want + LOWER_BYTES <= b->limit_bytes ? want : 0;
}

void run_budget_set(struct run_budget *b, uint64_t limit_bytes)
{
	b->limit_bytes = limit_bytes;
}

int run_budget_pause_ms(const struct run_budget *b, uint64_t now_ns)
{
	return b->relief_bytes || now_ns - b->moved_ns < SETTLE_NS ? 20 : 50;
}
