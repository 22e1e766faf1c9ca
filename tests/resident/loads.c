// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * loads.c - what programs miss on the fast path that use some pages more often than others, with the sizes that gvmfs has.
 *
 * Half of the pages may be here. Nodes and client do at once what they are asked, so that only decisions count. The optimum
 * is that of a choice made once, by one who knows how often each page will be used.
 */
#include "world.h"

#include "../unit/check.h"

#include <inttypes.h>
#include <math.h>

#define THETA	  0.99
#define HUGE	  512u /* pages */
#define HOT	  2u   /* of those */
#define THROUGH	  W_PAGES

static uint64_t brought; /* pages */

static void arrive(void)
{
	for (unsigned i = 0; i < W_FETCHES && world.r.fetches; i++) {
		if (!world.rs.fetches[i].r)
			continue;
		brought += (unsigned)__builtin_popcount(world.rs.fetches[i].asked);
		world_event(&(struct event){ E_SERVE, i, 0 });
		world_event(&(struct event){ E_PIECE, i, ~0u });
		world_event(&(struct event){ E_END, i, 0 });
	}
}

static void use(uint32_t page)
{
	const struct thread *t = &world.thread[0];

	/* One in four changes the page. */
	world_event(&(struct event){ E_TOUCH, 0, page * 4 + (check_random_below(4) ? HOW_READ : HOW_WRITE) });
	if (t->state == T_IDLE)
		return;
	for (unsigned tries = 0; t->state != T_IDLE && tries < 20; tries++) {
		world_event(&(struct event){ E_FAULTS, 1, 0 });
		arrive();
		world_settle();
		world_event(&(struct event){ E_AGAIN, 0, 0 });
	}
	CHECK(t->state == T_IDLE);
	world_settle();
}

/* Counters are the region's and the mount's: one here. */
static uint64_t misses(void)
{
	return world.stats.page_misses / 2;
}

static void through(void)
{
	for (uint32_t page = 0; page < W_PAGES; page++)
		use(page);
}

static void begin(void)
{
	world_init(W_PAGES / 2, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	through();
}

/* Uses so many pages that `next` chooses; returns how many of a hundred were not here. */
static double measure(const char *what, uint32_t uses, uint32_t (*next)(void), double optimum)
{
	uint64_t missed = misses(), minor = world.stats.minor_faults, before = brought;
	double of = uses / 100.0, is;

	for (uint32_t i = 0; i < uses; i++)
		use(next());
	is = (double)(misses() - missed) / of;
	printf("%-16s %6.2f %% missed, optimum %.2f; %.2f pages, %.2f faults on pages that were here\n", what, is, optimum,
	       (double)(brought - before) / of, (double)(world.stats.minor_faults - minor) / 2 / of);
	CHECK(!world_check());
	return is;
}

/* ---- some pages are used the more often the further in front they are, as from `first` on */

static double upto[W_PAGES];
static uint32_t first;

static void zipf_make(void)
{
	double sum = 0;

	for (uint32_t i = 0; i < W_PAGES; i++)
		upto[i] = sum += pow(i + 1, -THETA);
}

static double zipf_optimum(void)
{
	return 100 * (1 - upto[W_PAGES / 2 - 1] / upto[W_PAGES - 1]);
}

static uint32_t zipf(void)
{
	double at = check_random_below(1u << 30) / (double)(1u << 30) * upto[W_PAGES - 1];
	uint32_t low = 0, high = W_PAGES - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (upto[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return (low + first) % W_PAGES;
}

static void often_used_pages_stay(void)
{
	zipf_make();
	first = 0;
	begin();
	measure("at first", 2 * THROUGH, zipf, zipf_optimum());
	CHECK(measure("settled", 4 * THROUGH, zipf, zipf_optimum()) <= 1.25 * zipf_optimum());
}

/* What was often used is soon forgotten when it is not any more. */
static void other_pages_become_popular(void)
{
	zipf_make();
	first = 0;
	begin();
	measure("before", 4 * THROUGH, zipf, zipf_optimum());
	first = W_PAGES / 2;
	measure("just after", 2 * THROUGH, zipf, zipf_optimum());
	CHECK(measure("later", 2 * THROUGH, zipf, zipf_optimum()) <= 1.4 * zipf_optimum());
}

/* ---- two pages of each 2 MiB, and now and then any */

static uint32_t sparse(void)
{
	uint32_t huge = check_random_below(W_PAGES / HUGE);

	if (check_random_below(10) == 0)
		return check_random_below(W_PAGES);
	return huge * HUGE + (huge * 73 + check_random_below(HOT) * 211 + 5) % HUGE;
}

static void sparse_pages_stay(void)
{
	begin();
	measure("at first", THROUGH, sparse, 5);
	CHECK(measure("settled", THROUGH, sparse, 5) <= 1.1 * 5);
}

/* ---- two thirds of what fits, and a reader that goes through all the rest, once and again */

#define KEPT (W_PAGES / 3)

static uint32_t at, turn;

static uint32_t beside_a_reader(void)
{
	if (turn++ % 4)
		return check_random_below(KEPT);
	at = at + 1 < W_PAGES ? at + 1 : KEPT;
	return at;
}

static uint32_t at_the_end(void)
{
	return W_PAGES - 1 - check_random_below(KEPT);
}

static void readers_in_order_drive_nothing_out(void)
{
	begin();
	at = KEPT;
	turn = 0;
	measure("at first", 4 * THROUGH, beside_a_reader, 0);
	CHECK(measure("settled", 4 * THROUGH, beside_a_reader, 0) <= 0.1);
	/* Another set takes the first one's place. */
	measure("just after", 3 * THROUGH, at_the_end, 0);
	CHECK(measure("later", THROUGH, at_the_end, 0) <= 0.1);
}

/* ---- all in order: each page comes once, and seldom is waited for */

static void all_in_order_comes_once(void)
{
	uint64_t missed;

	begin();
	missed = misses();
	brought = 0;
	through();
	CHECK(brought <= W_PAGES * 51 / 50);
	CHECK(misses() - missed <= W_PAGES / 1000);
}

static const struct check_test tests[] = {
	{ "often-used-pages-stay", often_used_pages_stay },
	{ "other-pages-become-popular", other_pages_become_popular },
	{ "sparse-pages-stay", sparse_pages_stay },
	{ "readers-in-order-drive-nothing-out", readers_in_order_drive_nothing_out },
	{ "all-in-order-comes-once", all_in_order_comes_once },
};
CHECK_MAIN(tests)
