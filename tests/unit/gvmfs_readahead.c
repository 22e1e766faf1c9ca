// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_readahead.c - what is fetched ahead, and what is not. */
#include "check.h"
#include "gvm_wire.h"
#include "store/readahead.h"

#define CHUNKS 8192u /* 1 GiB */

static struct readahead ra;
static uint64_t ahead[READAHEAD_WINDOW];
static uint8_t fetched[CHUNKS];

/* READs pages; returns whether their chunks had all been fetched ahead. */
static bool read_pages(uint64_t first, uint64_t count)
{
	bool hit = true;
	unsigned n;

	for (uint64_t p = first; p < first + count; p++)
		hit &= fetched[p / GVM_CHUNK_PAGES];
	n = readahead_note(&ra, first, count, CHUNKS, ahead);
	CHECK(n <= READAHEAD_WINDOW);
	for (unsigned i = 0; i < n; i++) {
		CHECK(ahead[i] < CHUNKS);
		fetched[ahead[i]] = 1;
	}
	return hit;
}

static unsigned fetched_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CHUNKS; i++)
		n += fetched[i];
	return n;
}

static void setup(void)
{
	memset(&ra, 0, sizeof(ra));
	memset(fetched, 0, sizeof(fetched));
}

static void sequential_reader_finds_its_chunks_fetched(void)
{
	static const unsigned sizes[] = { 32, 8, 1, 20 };

	for (unsigned s = 0; s < 4; s++) {
		unsigned hits = 0, reads = 0;

		setup();
		for (uint64_t p = 100; p < 100 + 64 * GVM_CHUNK_PAGES; p += sizes[s]) {
			hits += read_pages(p, sizes[s]);
			reads++;
		}
		CHECK(hits * 100 > reads * 90);
		CHECK(fetched_count() <= 64 + 2 * READAHEAD_WINDOW);
	}
}

static void strided_reader_finds_its_chunks_fetched(void)
{
	static const int strides[] = { 64, 320, -64, -33 };

	for (unsigned s = 0; s < 4; s++) {
		unsigned hits = 0;
		int64_t p = 131072;

		setup();
		for (unsigned i = 0; i < 100; i++, p += strides[s])
			hits += read_pages((uint64_t)p, 1);
		CHECK(hits >= 90);
		CHECK(fetched_count() <= 100 + 2 * READAHEAD_WINDOW);
	}
}

static void several_readers_at_once_are_told_apart(void)
{
	unsigned hits = 0;

	setup();
	for (uint64_t i = 0; i < 60; i++) {
		hits += read_pages(1000 + i * 32, 32);
		hits += read_pages(90000 + i * 32, 32);
		hits += read_pages(200000 + i * 32, 32);
	}
	CHECK(hits >= 160);
}

static void random_reader_costs_next_to_nothing(void)
{
	setup();
	for (unsigned i = 0; i < 20000; i++)
		read_pages(check_random_below(CHUNKS * GVM_CHUNK_PAGES - 32), i & 1 ? 32 : 1);
	CHECK(fetched_count() < 200); /* 1 % of the READs */
}

/* The kernel reads around a fault in pieces, where it has some of the pages already. */
static void pieces_of_one_random_read_are_no_sequence(void)
{
	setup();
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t p = check_random_below(CHUNKS * GVM_CHUNK_PAGES - 64);

		read_pages(p, 9);
		read_pages(p + 10, 5);
		read_pages(p + 16, 9);
		read_pages(p + 27, 5);
	}
	CHECK(fetched_count() < 200);
}

static void nothing_beyond_the_end_is_fetched(void)
{
	setup();
	for (uint64_t p = (CHUNKS - 20) * GVM_CHUNK_PAGES; p < CHUNKS * GVM_CHUNK_PAGES; p += 32)
		read_pages(p, 32); /* read_pages() checks */
	setup();
	for (uint64_t p = 20 * GVM_CHUNK_PAGES; p >= 32; p -= 32)
		read_pages(p, 32);
	CHECK(fetched_count() <= 20);
}

/* A READ of some pages by thread `tid`, as pagecache_around() sees it; *whose: whose window changes. */
static enum readahead_around around(uint64_t first, unsigned pages, int tid, int *whose)
{
	uint64_t chunks[READAHEAD_WINDOW];
	enum readahead_around change;

	readahead_note(&ra, first, pages, CHUNKS, chunks);
	change = readahead_around(&ra, tid, whose);
	if (change != READAHEAD_STAYS)
		readahead_set_around(&ra, change, *whose);
	return change;
}

/* A fault of a window of 1 MiB: the READs look like a reader who goes on. */
static bool random_fault_narrows(int tid, int *whose)
{
	uint64_t first = check_random_below(CHUNKS - 8) * GVM_CHUNK_PAGES;

	for (unsigned i = 0; i < 8; i++)
		if (around(first + i * GVM_CHUNK_PAGES, GVM_CHUNK_PAGES, tid, whose) == READAHEAD_NARROWS)
			return true;
	return false;
}

static void window_is_wide_only_while_a_reader_goes_on(void)
{
	unsigned n = 0;
	int whose;

	setup();
	while (around(n * READAHEAD_AROUND, READAHEAD_AROUND, 7, &whose) != READAHEAD_WIDENS)
		CHECK(++n < 2 * READAHEAD_EARNED / READAHEAD_AROUND);
	CHECK(whose == 7 && n >= READAHEAD_EARNED / READAHEAD_AROUND);
	n = (n + 1) * READAHEAD_AROUND / GVM_CHUNK_PAGES;
	for (unsigned i = 0; i < 1000; i++)
		CHECK(around(++n * GVM_CHUNK_PAGES, GVM_CHUNK_PAGES, 8, &whose) == READAHEAD_STAYS);
	for (n = 0; !random_fault_narrows(9, &whose); n++)
		CHECK(n < 16);
	CHECK(whose == 7); /* for whom it was widened */
}

/* How often a reader in order whose window stays narrow has it widened. */
static unsigned narrow_reader_widens(unsigned reads, int tid, int *whose)
{
	unsigned times = 0;

	for (unsigned n = 0; n < reads; n++)
		times += around(n * READAHEAD_AROUND, READAHEAD_AROUND, tid, whose) == READAHEAD_WIDENS;
	return times;
}

static void who_reads_in_order_next_has_a_window_of_its_own(void)
{
	int whose;

	setup();
	CHECK(narrow_reader_widens(READAHEAD_EARNED / READAHEAD_AROUND + 1, 7, &whose) == 1 && whose == 7);
	for (int tid = 8; tid < 40; tid++) {
		/* It is wide now. */
		for (unsigned c = 64; c < 300; c++)
			CHECK(around(c * GVM_CHUNK_PAGES, GVM_CHUNK_PAGES, tid, &whose) == READAHEAD_STAYS);
		CHECK(narrow_reader_widens(2 * READAHEAD_NARROW, tid, &whose) == 1 && whose == tid);
	}
}

/* It may not be possible, or the program's own reads are small. */
static void window_that_stays_narrow_is_widened_ever_less_often(void)
{
	unsigned times;
	int whose;

	setup();
	times = narrow_reader_widens(100000, 5, &whose);
	CHECK(times >= 3 && times <= 16);
}

static void random_reader_never_widens(void)
{
	int whose;

	setup();
	for (unsigned i = 0; i < 100000; i++)
		CHECK(around(check_random_below(CHUNKS * GVM_CHUNK_PAGES - 4), 4, 1, &whose) == READAHEAD_STAYS);
}

/* It is from before the worker's predecessor ended, or another process's; or somebody just reads much at a time. */
static void wide_window_nobody_asked_for_is_narrowed_ever_less_often(void)
{
	unsigned times = 0;
	int whose;

	setup();
	for (unsigned i = 0; i < 20000; i++)
		times += around(check_random_below(CHUNKS * GVM_CHUNK_PAGES - 32), 32, 5, &whose) == READAHEAD_NARROWS;
	CHECK(times >= 3 && times <= 16);
	CHECK(whose == 5);
}

/* A reader of the fast path whose chunks come slowly faults in each of them again and again. */
static void faults_within_a_chunk_narrow_no_window(void)
{
	setup();
	for (uint64_t c = 0; c < 64; c++) {
		unsigned n = readahead_note(&ra, c * GVM_CHUNK_PAGES, GVM_CHUNK_PAGES, CHUNKS, ahead);

		CHECK(c < 8 || n == READAHEAD_WINDOW);
		for (unsigned p = 3; p < GVM_CHUNK_PAGES; p += 3)
			readahead_note(&ra, c * GVM_CHUNK_PAGES + p, GVM_CHUNK_PAGES - p, CHUNKS, ahead);
	}
}

static void what_continues_no_stream_is_from_elsewhere(void)
{
	setup();
	for (uint64_t c = 0; c < 64; c++) {
		readahead_note(&ra, c * GVM_CHUNK_PAGES, GVM_CHUNK_PAGES, CHUNKS, ahead);
		CHECK(ra.elsewhere == !c);
		readahead_note(&ra, c * GVM_CHUNK_PAGES + 3, 1, CHUNKS, ahead); /* within what the stream has covered */
		CHECK(!ra.elsewhere);
		readahead_note(&ra, (CHUNKS / 2 + c * c % 97 * 11) * GVM_CHUNK_PAGES, 1, CHUNKS, ahead);
		CHECK(ra.elsewhere);
	}
}

static const struct check_test tests[] = {
	{ "what-continues-no-stream-is-from-elsewhere", what_continues_no_stream_is_from_elsewhere },
	{ "window-is-wide-only-while-a-reader-goes-on", window_is_wide_only_while_a_reader_goes_on },
	{ "random-reader-never-widens", random_reader_never_widens },
	{ "who-reads-in-order-next-has-a-window-of-its-own", who_reads_in_order_next_has_a_window_of_its_own },
	{ "window-that-stays-narrow-is-widened-ever-less-often", window_that_stays_narrow_is_widened_ever_less_often },
	{ "wide-window-nobody-asked-for-is-narrowed-ever-less-often",
	  wide_window_nobody_asked_for_is_narrowed_ever_less_often },
	{ "sequential-reader-finds-its-chunks-fetched", sequential_reader_finds_its_chunks_fetched },
	{ "faults-within-a-chunk-narrow-no-window", faults_within_a_chunk_narrow_no_window },
	{ "strided-reader-finds-its-chunks-fetched", strided_reader_finds_its_chunks_fetched },
	{ "several-readers-at-once-are-told-apart", several_readers_at_once_are_told_apart },
	{ "random-reader-costs-next-to-nothing", random_reader_costs_next_to_nothing },
	{ "pieces-of-one-random-read-are-no-sequence", pieces_of_one_random_read_are_no_sequence },
	{ "nothing-beyond-the-end-is-fetched", nothing_beyond_the_end_is_fetched },
};
CHECK_MAIN(tests)
