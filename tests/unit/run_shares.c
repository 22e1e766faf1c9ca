// SPDX-License-Identifier: GPL-2.0-or-later
/* run_shares.c - a guest's budget is divided by what its regions use, and never exceeded. */
#include "check.h"
#include "tools/run/shares.h"

#define M (1ull << 20)

static uint64_t sum(const struct run_share *s, unsigned n)
{
	uint64_t all = 0;

	while (n--)
		all += s[n].bytes;
	return all;
}

static void start_is_in_proportion_to_size(void)
{
	struct run_share s[] = {{.size_bytes = 4096 * M}, {.size_bytes = 12288 * M}};

	run_shares_divide(s, 2, 1024 * M);
	CHECK_EQ(s[0].bytes, 4 * M + 1016 * M / 4);
	CHECK_EQ(s[1].bytes, 4 * M + 1016 * M / 4 * 3);
}

static void region_that_idles_leaves_its_share_to_others(void)
{
	struct run_share s[] = {
		{.size_bytes = 4096 * M, .resident_bytes = 256 * M, .bytes = 256 * M, .hungry = true},
		{.size_bytes = 12288 * M, .resident_bytes = 0, .bytes = 768 * M},
	};

	run_shares_divide(s, 2, 1024 * M);
	CHECK_EQ(s[1].bytes, 16 * M);
	CHECK_EQ(s[0].bytes, 1008 * M);
	/* It wakes up: at once both have what is fair. */
	s[1].hungry = true;
	run_shares_divide(s, 2, 1024 * M);
	CHECK_EQ(s[0].bytes, 4 * M + 1016 * M / 4);
	CHECK_EQ(s[1].bytes, 4 * M + 1016 * M / 4 * 3);
}

static void pages_that_are_not_used_give_way_step_by_step(void)
{
	struct run_share s[] = {
		{.size_bytes = 1024 * M, .resident_bytes = 512 * M, .bytes = 512 * M, .hungry = true},
		{.size_bytes = 1024 * M, .resident_bytes = 512 * M, .bytes = 512 * M},
	};
	uint64_t before = s[1].bytes;

	for (unsigned i = 0; i < 60; i++) {
		run_shares_divide(s, 2, 1024 * M);
		CHECK(s[1].bytes <= before && s[1].bytes >= before - before / 8 - 1);
		CHECK(sum(s, 2) <= 1024 * M);
		before = s[1].resident_bytes = s[1].bytes;
		s[0].resident_bytes = s[0].bytes;
	}
	CHECK(s[1].bytes <= 8 * M);
	CHECK(s[0].bytes >= 1016 * M);
}

static void small_region_gets_no_more_than_it_has(void)
{
	struct run_share s[] = {{.size_bytes = 64 * M}, {.size_bytes = 64 * M}};

	run_shares_divide(s, 2, 1024 * M);
	CHECK_EQ(s[0].bytes, 64 * M);
	CHECK_EQ(s[1].bytes, 64 * M);
}

static void shares_never_exceed_the_budget(void)
{
	for (unsigned round = 0; round < 20000; round++) {
		unsigned n = 1 + check_random_below(8);
		uint64_t local = (16 + check_random_below(4096)) * M;
		struct run_share s[8];

		for (unsigned i = 0; i < n; i++) {
			s[i].size_bytes = (1 + check_random_below(1 << 14)) * M;
			s[i].bytes = check_random_below(2) ? check_random_below(4096) * M : 0;
			s[i].hungry = check_random_below(2);
			s[i].resident_bytes =
				s[i].bytes ? check_random() % (s[i].bytes + 1) : 0;
		}
		run_shares_divide(s, n, local);
		CHECK(sum(s, n) <= (local > n * RUN_SHARE_MIN ? local : n * RUN_SHARE_MIN));
		for (unsigned i = 0; i < n; i++)
			CHECK(s[i].bytes >= RUN_SHARE_MIN && s[i].bytes <= local + RUN_SHARE_MIN);
	}
}

static void region_below_the_least_share_takes_no_more(void)
{
	struct run_share s[] = {
		{.size_bytes = M, .resident_bytes = M, .bytes = 64 * M},
		{.size_bytes = 1024 * M, .resident_bytes = 64 * M, .bytes = 64 * M, .hungry = true},
	};

	run_shares_divide(s, 2, 128 * M);
	CHECK_EQ(s[0].bytes, RUN_SHARE_MIN);
	CHECK_EQ(s[1].bytes, 124 * M);
}

static void shares_of_a_smaller_budget_stay_in_proportion(void)
{
	struct run_share s[] = {
		{.size_bytes = 4096 * M, .bytes = 604 * M},
		{.size_bytes = 1024 * M, .bytes = 204 * M},
		{.size_bytes = 1024 * M, .bytes = 4 * M},
	};

	run_shares_scale(s, 3, 412 * M);
	CHECK_EQ(s[0].bytes, 304 * M);
	CHECK_EQ(s[1].bytes, 104 * M);
	CHECK_EQ(s[2].bytes, 4 * M);
	run_shares_scale(s, 3, 8192 * M);
	CHECK_EQ(s[0].bytes, 4096 * M);
	CHECK_EQ(s[1].bytes, 1024 * M);
	run_shares_scale(s, 3, M);
	CHECK_EQ(sum(s, 3), 12 * M);
	run_shares_scale(s, 3, 412 * M);
	CHECK_EQ(sum(s, 3), 12 * M);
}

static const struct check_test tests[] = {
	{"region-below-the-least-share-takes-no-more", region_below_the_least_share_takes_no_more},
	{"start-is-in-proportion-to-size", start_is_in_proportion_to_size},
	{"region-that-idles-leaves-its-share-to-others",
	 region_that_idles_leaves_its_share_to_others},
	{"pages-that-are-not-used-give-way-step-by-step",
	 pages_that_are_not_used_give_way_step_by_step},
	{"small-region-gets-no-more-than-it-has", small_region_gets_no_more_than_it_has},
	{"shares-of-a-smaller-budget-stay-in-proportion", shares_of_a_smaller_budget_stay_in_proportion},
	{"shares-never-exceed-the-budget", shares_never_exceed_the_budget},
};
CHECK_MAIN(tests)
