// SPDX-License-Identifier: GPL-2.0-or-later
/* run_budget.c - the group's limit follows QEMU's own memory and nothing else. */
#include "tools/run/budget.h"
#include "check.h"

#define M  (1ull << 20)
#define MS 1000000ull

static struct run_budget b;

/* A reading; the limit that it asks for is set. Returns the limit in force. */
static uint64_t step(uint64_t own, uint64_t file, bool oom, uint64_t ms)
{
	struct memcg_stat st = {.usage = own + file, .file = file, .under_oom = oom};
	uint64_t limit = run_budget_step(&b, &st, ms * MS);

	if (limit)
		run_budget_set(&b, limit);
	return b.limit_bytes;
}

static void start_leaves_room_for_qemu(void)
{
	run_budget_init(&b, 64 * M, 0);
	CHECK_EQ(b.limit_bytes, 64 * M + RUN_BUDGET_START);
	/* what it has not taken yet stays its own for a while */
	CHECK_EQ(step(10 * M, 0, false, 20), 64 * M + RUN_BUDGET_START);
	CHECK_EQ(step(200 * M, 0, false, 40), 264 * M);
	CHECK_EQ(step(80 * M, 1 * M, false, 3000), 144 * M);
}

static void region_never_gets_more_than_its_budget(void)
{
	run_budget_init(&b, 64 * M, 0);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t own = (50 + check_random_below(100)) * M + check_random_below(1 << 20);
		uint64_t file = check_random_below(64) * M, limit;

		limit = step(own, file, false, 3000 + i * 100);
		/* what the limit leaves for the region, within the step that is not worth it */
		CHECK(limit >= own + 64 * M);
		CHECK(limit - own < 65 * M);
	}
}

static void limit_is_left_alone_when_little_changes(void)
{
	struct memcg_stat st = {.usage = 100 * M, .file = 20 * M};

	run_budget_init(&b, 64 * M, 0);
	step(80 * M, 20 * M, false, 3000);
	st.usage -= M - 4096;
	CHECK_EQ(run_budget_step(&b, &st, 3100 * MS), 0);
	st.usage = 101 * M; /* up at once */
	CHECK_EQ(run_budget_step(&b, &st, 3200 * MS), 145 * M);
}

static void waiting_task_gets_relief_that_is_taken_back(void)
{
	uint64_t at = 3000, limit;

	run_budget_init(&b, 64 * M, 0);
	limit = step(80 * M, 64 * M, false, at);
	CHECK(step(80 * M, 64 * M, true, at += 100) >= limit + 16 * M);
	CHECK(step(80 * M, 64 * M, true, at += 100) >= limit + 32 * M);
	CHECK_EQ(run_budget_pause_ms(&b, at * MS), 20);
	for (unsigned i = 0; i < 40; i++)
		step(80 * M, 64 * M, false, at += 20);
	CHECK_EQ(b.limit_bytes, limit);
	CHECK_EQ(run_budget_pause_ms(&b, (at + 2000) * MS), 50);
}

/* No reading may come in time, and nothing can be taken back. */
static void fast_path_has_room_that_does_not_sink(void)
{
	uint64_t limit = 0;

	run_budget_init(&b, 16 * M, 0);
	b.fast = true;
	CHECK(step(20 * M, 0, false, 20) >= 16 * M + 2 * RUN_BUDGET_START);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t own = (20 + check_random_below(400)) * M, file = check_random_below(16) * M;
		uint64_t before = limit;

		limit = step(own, file, false, 3000 + i * 100);
		CHECK(limit >= before && limit >= own + 16 * M + RUN_BUDGET_START);
		CHECK(limit <= 420 * M + 16 * M + 2 * RUN_BUDGET_START);
	}
	/* Mapped files are within the budget again. */
	b.fast = false;
	CHECK_EQ(step(80 * M, 16 * M, false, 2000000), 96 * M);
}

static const struct check_test tests[] = {
	{"fast-path-has-room-that-does-not-sink", fast_path_has_room_that_does_not_sink},
	{"start-leaves-room-for-qemu", start_leaves_room_for_qemu},
	{"region-never-gets-more-than-its-budget", region_never_gets_more_than_its_budget},
	{"limit-is-left-alone-when-little-changes", limit_is_left_alone_when_little_changes},
	{"waiting-task-gets-relief-that-is-taken-back",
	 waiting_task_gets_relief_that_is_taken_back},
};
CHECK_MAIN(tests)
