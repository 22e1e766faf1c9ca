// SPDX-License-Identifier: GPL-2.0-or-later
/* page_run.c - walking the runs of a mask meets each page once, in order, in runs as long as can be. */
#include "check.h"
#include "memnode/page_run.h"

static void runs_are_the_mask(uint32_t pages)
{
	uint32_t left = pages, met = 0;
	struct page_run run;
	unsigned from = 0;

	while (page_run_take(&left, &run)) {
		CHECK(run.count && run.first >= from);
		CHECK_EQ(page_run_mask(run.first, run.count) & ~pages, 0);
		CHECK(run.first + run.count == GVM_CHUNK_PAGES || !(pages >> (run.first + run.count) & 1));
		from = run.first + run.count + 1;
		met |= page_run_mask(run.first, run.count);
	}
	CHECK_EQ(met, pages);
	CHECK_EQ(left, 0);
}

static void each_page_is_met_once(void)
{
	for (unsigned first = 0; first < GVM_CHUNK_PAGES; first++)
		for (unsigned count = 0; first + count <= GVM_CHUNK_PAGES; count++)
			runs_are_the_mask(page_run_mask(first, count));
	for (unsigned i = 0; i < 10000; i++)
		runs_are_the_mask((uint32_t)check_random());
	runs_are_the_mask(0x80000001);
}

static void masks_reach_either_end(void)
{
	CHECK_EQ(page_run_mask(0, 0), 0);
	CHECK_EQ(page_run_mask(0, 32), 0xffffffff);
	CHECK_EQ(page_run_mask(31, 1), 0x80000000);
	CHECK_EQ(page_run_mask(4, 3), 0x70);
}

static void one_run_is_told_from_several(void)
{
	CHECK(page_run_is(0xffffffff) && page_run_is(1) && page_run_is(0x70));
	CHECK(!page_run_is(0) && !page_run_is(5) && !page_run_is(0x80000001));
}

static const struct check_test tests[] = {
	{"each-page-is-met-once", each_page_is_met_once},
	{"masks-reach-either-end", masks_reach_either_end},
	{"one-run-is-told-from-several", one_run_is_told_from_several},
};

CHECK_MAIN(tests)
