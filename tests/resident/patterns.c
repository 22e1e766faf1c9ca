// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * patterns.c - how often readers fault, and how much is brought for them, with the sizes that gvmfs has.
 *
 * In order: one fault in RESIDENT_STREAM chunks where they have arrived before the reader, and at most one for a chunk
 * that comes late. With the budget used up: a second fault in a chunk brings the rest where all of a chunk is used at once,
 * and does not where a few pages of each are, or more of them over time; and a first one brings a window where its pages are
 * used together, or else its page alone. Faults from elsewhere find few chunks before them that a reader in order will want.
 */
#include "world.h"

#include "../unit/check.h"

#include <inttypes.h>

static uint64_t brought; /* pages */

/* Lets all that was asked for arrive, or only the chunk in which the reader waits. */
static void arrive(uint32_t page, bool all)
{
	for (unsigned i = 0; i < W_FETCHES; i++) {
		const struct resident_fetch *f = &world.rs.fetches[i];

		if (!f->r || (!all && f->chunk != page / GVM_CHUNK_PAGES))
			continue;
		brought += (unsigned)__builtin_popcount(f->asked);
		world_event(&(struct event){ E_SERVE, i, 0 });
		world_event(&(struct event){ E_PIECE, i, ~0u });
		world_event(&(struct event){ E_END, i, 0 });
	}
}

static void read_page(uint32_t page, bool in_time)
{
	const struct thread *t = &world.thread[0];

	if (in_time)
		arrive(page, true);
	world_event(&(struct event){ E_TOUCH, 0, page * 4 + HOW_READ });
	for (unsigned tries = 0; t->state != T_IDLE && tries < 4; tries++) {
		world_event(&(struct event){ E_FAULTS, 1, 0 });
		arrive(page, false);
		world_event(&(struct event){ E_AGAIN, 0, 0 });
	}
	CHECK(t->state == T_IDLE);
	CHECK(!world_check());
}

/* A counter: the region's and the mount's are one here. */
static uint64_t count_of(uint64_t counted)
{
	return counted / 2;
}

/* From the chunk at which a reader is sure to the one from which the window does not fit into the region any more. */
static void read_in_order(bool in_time)
{
	const uint32_t from = 3 * READAHEAD_WINDOW, to = W_CHUNKS - READAHEAD_WINDOW - RESIDENT_STREAM;
	const struct stats *s = &world.stats;
	uint64_t faults, minor;

	world_init(0, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	for (uint32_t page = 0; page < from * GVM_CHUNK_PAGES; page++)
		read_page(page, in_time);
	faults = count_of(s->faults);
	minor = count_of(s->minor_faults);
	for (uint32_t page = from * GVM_CHUNK_PAGES; page < to * GVM_CHUNK_PAGES; page++)
		read_page(page, in_time);
	faults = count_of(s->faults) - faults;
	minor = count_of(s->minor_faults) - minor;
	printf("%" PRIu64 " faults in %u chunks, %" PRIu64 " in chunks that were here\n", faults, to - from, minor);
	CHECK(minor <= (to - from) / RESIDENT_STREAM);
	CHECK(faults <= (in_time ? minor : to - from));
	/* None was asked for that is not read. */
	CHECK(count_of(s->prefetched) <= to + READAHEAD_WINDOW + RESIDENT_STREAM);
}

static void what_is_here_faults_seldom(void)
{
	read_in_order(true);
}

static void what_is_late_faults_once(void)
{
	read_in_order(false);
}

static unsigned most_fetching; /* since it was set to 0 */

/* Goes on in order, as long as its window fits, with a page from elsewhere after each chunk or without. */
static void read_beside(uint32_t *chunk, uint32_t chunks, uint32_t *elsewhere)
{
	for (most_fetching = 0; chunks; chunks--, ++*chunk) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
			read_page(*chunk * GVM_CHUNK_PAGES + p, false);
			if (world.rs.fetching > most_fetching)
				most_fetching = world.rs.fetching;
		}
		if (elsewhere)
			read_page((*elsewhere -= 2) * GVM_CHUNK_PAGES, false);
	}
}

static void reader_leaves_way_to_faults_elsewhere(void)
{
	uint32_t chunk = 0, elsewhere = W_CHUNKS;

	world_init(0, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	read_beside(&chunk, 2 * READAHEAD_WINDOW, NULL);
	CHECK(most_fetching >= READAHEAD_WINDOW - 1);
	read_page((elsewhere -= 2) * GVM_CHUNK_PAGES, false);
	arrive(chunk * GVM_CHUNK_PAGES, true);
	read_beside(&chunk, 2 * READAHEAD_WINDOW, &elsewhere);
	CHECK(most_fetching && most_fetching <= RESIDENT_BESIDE);
	world.now += RESIDENT_ELSEWHERE_NS;
	read_beside(&chunk, 2 * READAHEAD_WINDOW, NULL);
	CHECK(most_fetching >= READAHEAD_WINDOW - 1);
}

/* Reads some pages of chunks in no order, with an eighth of them resident; the second half counts. */
static void read_anywhere(unsigned step, uint64_t *faults, unsigned chunks)
{
	world_init(W_PAGES / 8, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	for (unsigned n = 0; n < 2 * chunks; n++) {
		uint32_t c = check_random_below(W_CHUNKS);

		if (n == chunks) {
			*faults = count_of(world.stats.faults - world.stats.minor_faults);
			brought = 0;
		}
		for (uint32_t p = c % step; p < GVM_CHUNK_PAGES; p += step) {
			read_page(c * GVM_CHUNK_PAGES + p, false);
			world_settle();
		}
	}
	*faults = count_of(world.stats.faults - world.stats.minor_faults) - *faults;
	printf("%" PRIu64 " faults, %" PRIu64 " pages\n", *faults, brought);
}

/* Reads `run` neighbours at a time, at any place that is a multiple of it; the second half of the reads counts. */
static void read_runs(unsigned run, unsigned reads, uint64_t *faults)
{
	world_init(W_PAGES / 8, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	for (unsigned n = 0; n < 2 * reads; n++) {
		uint32_t first = check_random_below(W_PAGES / run) * run;

		if (n == reads) {
			*faults = count_of(world.stats.page_misses);
			brought = 0;
		}
		for (uint32_t p = first; p < first + run; p++) {
			read_page(p, false);
			world_settle();
		}
	}
	*faults = count_of(world.stats.page_misses) - *faults;
	printf("%" PRIu64 " faults, %" PRIu64 " pages\n", *faults, brought);
}

/* But for chunks that are looked at, and faults that happen to be near each other. */
static void lone_pages_come_alone(void)
{
	uint64_t faults;

	read_runs(1, 3000, &faults);
	CHECK(faults > 2000);
	CHECK(brought <= faults * 3 / 2);
}

static void neighbours_come_together(void)
{
	uint64_t faults;

	read_runs(RESIDENT_WINDOW, 3000, &faults);
	CHECK(faults > 2000);
	CHECK(faults <= 3000 * 5 / 4);
	CHECK(brought <= faults * RESIDENT_WINDOW * 3 / 2);
}

/* A page of each of many chunks, then the next page of each: what is used fits, whole chunks do not. */
static void chunks_that_fill_slowly_are_not_brought(void)
{
	uint64_t before = 0;

	world_init(W_PAGES / 8, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	for (unsigned n = 0; n < 8000; n++) {
		uint32_t c = n % (W_CHUNKS / 3), p = n / (W_CHUNKS / 3) % 8 * RESIDENT_WINDOW;

		if (n == 4000)
			before = count_of(world.stats.page_misses);
		read_page(c * GVM_CHUNK_PAGES + p, false);
		world_settle();
	}
	printf("%" PRIu64 " faults\n", count_of(world.stats.page_misses) - before);
	CHECK(count_of(world.stats.page_misses) - before < 400);
}

static void sparse_pages_come_without_others(void)
{
	uint64_t faults;

	read_anywhere(GVM_CHUNK_PAGES / 2, &faults, 600);
	CHECK(brought <= faults * (RESIDENT_WINDOW + 1));
}

static void dense_chunks_come_with_the_second_fault(void)
{
	uint64_t faults;

	read_anywhere(1, &faults, 600);
	/* But for some that are looked at. */
	CHECK(faults <= brought / GVM_CHUNK_PAGES * 4);
}

/* All chunks in no order, always the same one. */
static uint32_t scattered[W_CHUNKS];

static void scatter(void)
{
	for (uint32_t n = 0; n < W_CHUNKS; n++) {
		uint32_t at = check_random_below(n + 1);

		scattered[n] = scattered[at];
		scattered[at] = n;
	}
}

/* Touches a page of some chunks, each of them once; returns how many faults had to wait for pages. */
static uint64_t start(unsigned from, unsigned chunks)
{
	uint64_t missed = count_of(world.stats.page_misses);

	for (unsigned n = from; n < from + chunks; n++) {
		read_page(scattered[n] * GVM_CHUNK_PAGES + n % 3 * 11, false);
		world_settle();
	}
	return count_of(world.stats.page_misses) - missed;
}

/* Begins anew, with what the last start touched. */
static void start_again(uint64_t local)
{
	static struct trail_step steps[W_CHUNKS];
	unsigned count = world.r.trail_count;

	memcpy(steps, world.trail, sizeof(steps));
	world_init(local, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	resident_replay(&world.r, steps, count);
	resident_turn(&world.r);
	world_settle();
	CHECK(!world_check());
}

static void second_start_waits_for_nothing(void)
{
	scatter();
	world_init(0, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	CHECK_EQ(start(0, 60), 60);
	for (unsigned again = 0; again < 3; again++) {
		start_again(0);
		CHECK_EQ(count_of(world.stats.replayed), 60);
		/* With the pages that were used, and no others. */
		CHECK_EQ(world.r.here, 60 * RESIDENT_WINDOW);
		CHECK_EQ(start(0, 60), 0);
		CHECK_EQ(count_of(world.stats.replay_used), 60);
	}
	/* Of what is not used any more the record is free. */
	CHECK_EQ(start(60, 6), 6);
	start_again(0);
	CHECK_EQ(start(30, 36), 0);
	start_again(0);
	CHECK_EQ(count_of(world.stats.replayed), 36);
}

/* To put zeros in takes as long as a fault should wait for a few. */
static void replayed_zeros_leave_room_for_faults(void)
{
	struct trail_step steps[W_CHUNKS];

	world_init(0, false);
	for (uint32_t c = 0; c < W_CHUNKS; c++)
		steps[c] = (struct trail_step){ c, 1 };
	resident_replay(&world.r, steps, W_CHUNKS);
	resident_turn(&world.r);
	CHECK(count_of(world.stats.replayed) > 0 && count_of(world.stats.replayed) <= 4);
	for (unsigned turns = 0; turns < W_CHUNKS; turns++)
		resident_turn(&world.r);
	CHECK_EQ(count_of(world.stats.replayed), W_CHUNKS);
	CHECK(!world_check());
}

/* The budget is that of a start, of which nothing is used again: what is needed now takes its place, without a zap. */
static void what_is_not_used_again_goes_first(void)
{
	const uint64_t local = 30 * RESIDENT_WINDOW;

	scatter();
	world_init(0, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	start(0, 40);
	start_again(local);
	CHECK(world.r.here <= local - 2 * resident_headroom(&world.r) && world.r.here > local / 2);
	CHECK_EQ(start(40, 10), 10);
	world_settle();
	CHECK_EQ(count_of(world.stats.zaps), 0);
	CHECK_EQ(start(40, 10), 0);
	CHECK(count_of(world.stats.evictions) > 0);
}

/* What was used and evicted comes back when there is room for it again. */
static void raised_budget_brings_back_what_was_evicted(void)
{
	uint64_t missed;

	scatter();
	world_init(W_PAGES, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	start(0, 10);
	world_event(&(struct event){ E_BUDGET, 8 * RESIDENT_WINDOW, 0 });
	world_settle();
	CHECK(world.r.here <= 8 * RESIDENT_WINDOW);
	missed = world.r.gone_count;
	CHECK(missed > 0 && missed <= world.r.gone_room);
	world_event(&(struct event){ E_BUDGET, W_PAGES, 0 });
	world_settle();
	CHECK_EQ(count_of(world.stats.replayed), missed);
	CHECK_EQ(start(0, 10), 0);
}

/* All of the budget is used when the worker dies, and the only thread faults: what has been taken over makes room for it,
 * long before all has. */
static void fault_that_lacks_room_waits_for_no_take_over(void)
{
	const uint32_t lacking = W_PAGES - 1;

	world_init(0, false);
	world_fill(0, GVM_CHUNK_PAGES - 1);
	for (unsigned c = 0; c < W_CHUNKS - 1; c++)
		read_page(c * GVM_CHUNK_PAGES, false);
	world_event(&(struct event){ E_TOUCH, 0, lacking * 4 + HOW_READ });
	world.kept.putting = W_CHUNKS; /* the last one into which pages were put has gone since */
	world_event(&(struct event){ E_KILL, 1, 0 });
	world_event(&(struct event){ E_BUDGET, (uint32_t)world.r.here, 0 });
	CHECK_EQ(world.kills, 1);
	resident_fault(&world.r, world.r.address + lacking * GVM_PAGE_BYTES);
	resident_turn(&world.r);
	CHECK(world.r.lists[LIST_BLOCKED].count == 1);
	CHECK(resident_here(&world.r) <= world.r.local);
	while (world.r.lists[LIST_BLOCKED].count && world.r.recovering) {
		world_settle();
		world_event(&(struct event){ E_TICK, 0, 0 });
	}
	CHECK(!world.r.lists[LIST_BLOCKED].count && world.r.recovering);
	CHECK(!world_check());
}

static const struct check_test tests[] = {
	{ "what-is-here-faults-seldom", what_is_here_faults_seldom },
	{ "what-is-late-faults-once", what_is_late_faults_once },
	{ "reader-leaves-way-to-faults-elsewhere", reader_leaves_way_to_faults_elsewhere },
	{ "sparse-pages-come-without-others", sparse_pages_come_without_others },
	{ "dense-chunks-come-with-the-second-fault", dense_chunks_come_with_the_second_fault },
	{ "lone-pages-come-alone", lone_pages_come_alone },
	{ "neighbours-come-together", neighbours_come_together },
	{ "chunks-that-fill-slowly-are-not-brought", chunks_that_fill_slowly_are_not_brought },
	{ "second-start-waits-for-nothing", second_start_waits_for_nothing },
	{ "replayed-zeros-leave-room-for-faults", replayed_zeros_leave_room_for_faults },
	{ "what-is-not-used-again-goes-first", what_is_not_used_again_goes_first },
	{ "raised-budget-brings-back-what-was-evicted", raised_budget_brings_back_what_was_evicted },
	{ "fault-that-lacks-room-waits-for-no-take-over", fault_that_lacks_room_waits_for_no_take_over },
};
CHECK_MAIN(tests)
