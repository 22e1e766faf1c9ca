// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_spill.c - written pages that wait for wbufs, in the journal: what is read, how much there may be, and what a
 * successor finds after its predecessor's death at any change of the journal. */
#include "check.h"
#include "journal_death.h"
#include "store/wbufs.h"

#define NOW 1000u

/* What outlives a worker. */
static struct journal_wbuf disk[JOURNAL_WBUFS];
static uint8_t data[JOURNAL_WBUFS * GVM_CHUNK_BYTES];
static struct journal_spill spilled[JOURNAL_SPILL];
static uint32_t counts[JOURNAL_INODES], buckets[SPILL_BUCKETS];
static uint8_t spilled_data[JOURNAL_SPILL * GVM_CHUNK_BYTES];

/* A worker. */
static struct wbufs s;
static struct inode inodes[3];
static const int node_a, node_b;
static unsigned released;

static void release(uint8_t *chunk)
{
	memset(chunk, 0, GVM_CHUNK_BYTES);
	released++;
}

/* What it had allocated goes with a worker. */
static void shares_free(void)
{
	struct spill_node *n;
	struct spill_share *of;

	while ((n = TAILQ_FIRST(&s.spill.nodes))) {
		while ((of = TAILQ_FIRST(&n->shares))) {
			free(of->inode->spill_slots);
			of->inode->spill_slots = NULL;
			TAILQ_REMOVE(&n->shares, of, in);
			free(of);
		}
		TAILQ_REMOVE(&s.spill.nodes, n, in);
		free(n);
	}
}

static void start(uint64_t pages_max)
{
	shares_free();
	memset(&s, 0, sizeof(s));
	memset(inodes, 0, sizeof(inodes));
	for (unsigned i = 0; i < 3; i++)
		inodes[i].nr = i;
	s.disk = disk;
	s.data = data;
	s.mark32 = mark32;
	s.spill.disk = spilled;
	s.spill.counts = counts;
	s.spill.buckets = buckets;
	s.spill.data = spilled_data;
	s.spill.mark32 = mark32;
	s.spill.release = release;
	s.spill.pages_max = pages_max;
	death.at = released = 0;
	wbufs_begin(&s);
	spill_begin(&s.spill, ++s.order);
	for (unsigned i = 0; i < 3; i++)
		spill_is_left(&s.spill, &inodes[i]);
}

/* All of it was taken over. */
static void scanned(void)
{
	struct spill_place *place;

	while (s.spill.scanning) {
		place = spill_scan(&s.spill, 3);
		if (place)
			CHECK(spill_adopt(&s.spill, place, &inodes[spill_disk(&s.spill, place)->inode], &node_a));
	}
	for (unsigned i = 0; i < 3; i++)
		spill_was_left(&s.spill, &inodes[i]);
	CHECK_EQ(s.spill.left, 0);
}

static void setup(uint64_t pages_max)
{
	memset(disk, 0, sizeof(disk));
	memset(data, 0, sizeof(data));
	memset(spilled, 0, sizeof(spilled));
	memset(spilled_data, 0, sizeof(spilled_data));
	memset(counts, 0, sizeof(counts));
	memset(buckets, 0, sizeof(buckets));
	start(pages_max);
	scanned();
}

static void page_is(unsigned nr, uint64_t chunk, unsigned page, int byte)
{
	const uint8_t *at = wbufs_page(&s, &inodes[nr], chunk, page);

	CHECK_EQ(!at, byte < 0);
	for (unsigned i = 0; at && i < GVM_PAGE_BYTES; i++)
		CHECK_EQ(at[i], byte);
}

static void content_of(uint8_t content[GVM_PAGE_BYTES], uint8_t byte)
{
	memset(content, byte, GVM_PAGE_BYTES);
}

static struct spill_place *spill(unsigned nr, uint64_t chunk, const void *node, unsigned page, uint8_t byte)
{
	uint8_t content[GVM_PAGE_BYTES];
	struct spill_place *place = spill_open(&s.spill, &inodes[nr], chunk, node, 1u << page, ++s.order);

	content_of(content, byte);
	if (place)
		spill_write(&s.spill, place, page * GVM_PAGE_BYTES, (page + 1) * GVM_PAGE_BYTES, content);
	return place;
}

static struct wbuf *collect(unsigned nr, uint64_t chunk, unsigned page, uint8_t byte)
{
	uint8_t content[GVM_PAGE_BYTES];
	struct wbuf *wbuf = wbufs_open(&s, &inodes[nr], chunk, &node_a, NOW);

	CHECK(wbuf);
	content_of(content, byte);
	wbuf_write(&s, wbuf, page * GVM_PAGE_BYTES, (page + 1) * GVM_PAGE_BYTES, content);
	return wbuf;
}

static void newest_page_counts(void)
{
	struct wbuf *wbuf;

	setup(100);
	wbuf = collect(1, 5, 3, 0x11);
	wbuf_seal(&s, wbuf, 7);
	CHECK(spill(1, 5, &node_a, 3, 0x22));
	CHECK(spill(1, 5, &node_a, 4, 0x33));
	page_is(1, 5, 3, 0x22);
	page_is(1, 5, 4, 0x33);
	page_is(2, 5, 4, -1);
	page_is(1, 6, 4, -1);
	CHECK_EQ(wbufs_pages(&s, &inodes[1], 5), 0x18);
	CHECK_EQ(inodes[1].wbufs, 2);
	CHECK_EQ(inodes[1].spilled, 1);
	CHECK_EQ(s.spill.pages, 2);
	CHECK_EQ(wbufs_oldest(&s, &inodes[1]), wbuf->order);
	wbuf_free(&s, wbuf);
	page_is(1, 5, 3, 0x22);
	CHECK_EQ(wbufs_next_chunk(&s, &inodes[1], 0), 5);
	CHECK_EQ(wbufs_next_chunk(&s, &inodes[1], 6), ~0ull);
	CHECK_EQ(wbufs_oldest(&s, &inodes[1]), 3);
}

/* An fsync that waits for what was spilled waits for the wbuf, too. */
static void wbuf_takes_over_what_was_spilled(void)
{
	struct spill_place *place;
	struct wbuf *wbuf;

	setup(100);
	place = spill(1, 5, &node_a, 3, 0x22);
	spill(1, 6, &node_a, 3, 0x23);
	wbuf = wbufs_open(&s, &inodes[1], 5, &node_a, NOW);
	wbuf_unspill(&s, wbuf, place);
	CHECK_EQ(wbuf->order, 2);
	CHECK_EQ(wbufs_oldest(&s, &inodes[1]), 2);
	CHECK_EQ(wbuf_disk(&s, wbuf)->pages, 1u << 3);
	page_is(1, 5, 3, 0x22);
	page_is(1, 6, 3, 0x23);
	CHECK_EQ(inodes[1].wbufs, 2);
	CHECK_EQ(s.spill.count, 1);
	CHECK_EQ(s.spill.pages, 1);
	CHECK(!spill_tidy(&s.spill));
	CHECK_EQ(released, 1);
	CHECK_EQ(spilled_data[3 * GVM_PAGE_BYTES], 0);
	page_is(1, 5, 3, 0x22);
}

static struct spill_slot *slot_of(unsigned nr, uint64_t chunk)
{
	return &inodes[nr].spill_slots[chunk % SPILL_SLOTS];
}

/* All places of it count on the other node at once, and what is oldest stays so. */
static void slot_moves_to_another_node(void)
{
	unsigned others = 0;

	setup(100);
	for (unsigned chunk = 0; chunk < 3; chunk++)
		CHECK(spill(1, chunk, &node_a, 0, 1));
	CHECK(spill(1, 3, &node_b, 0, 1));
	CHECK(spill(1, SPILL_SLOTS, &node_a, 0, 1)); /* in one slot with chunk 0 */
	CHECK(spill_follow(&s.spill, slot_of(1, 0), &node_b));
	CHECK(spill_follow(&s.spill, slot_of(1, 0), &node_b));
	CHECK_EQ(TAILQ_FIRST(&s.spill.nodes)->count, 2);
	CHECK_EQ(TAILQ_NEXT(TAILQ_FIRST(&s.spill.nodes), in)->count, 3);
	CHECK(spill_follow(&s.spill, slot_of(1, 2), &node_b));
	CHECK_EQ(spill_oldest(&s.spill, &inodes[1]), 2);
	CHECK_EQ(inodes[1].spilled, 5);
	CHECK_EQ(s.spill.pages, 5);
	page_is(1, 2, 0, 1);
	page_is(1, SPILL_SLOTS, 0, 1);
	spill_free(&s.spill, spill_find(&s.spill, &inodes[1], 0));
	CHECK_EQ(spill_oldest(&s.spill, &inodes[1]), 3);
	/* The last one takes its node along, and back. */
	CHECK(spill_follow(&s.spill, slot_of(1, 1), &node_b));
	CHECK(TAILQ_FIRST(&s.spill.nodes)->node == &node_b && !TAILQ_NEXT(TAILQ_FIRST(&s.spill.nodes), in));
	while (spill(2, others / 32, &node_b, others % 32, 1))
		others++;
	CHECK_EQ(others, 100 / 2 - 4);
	for (unsigned chunk = 0; chunk < 4; chunk++)
		CHECK(spill_follow(&s.spill, slot_of(1, chunk), &node_a));
	CHECK(spill(2, 3, &node_b, 30, 1)); /* there is room for it again */
	CHECK_EQ(spill_oldest(&s.spill, &inodes[1]), 3);
}

/* However much one node's chunks have, there is some left for others'. */
static void one_node_leaves_room_for_others(void)
{
	unsigned pages = 0, others = 0, places = 0;

	setup(100);
	while (spill(pages % 2, pages / 64, &node_a, pages / 2 % 32, 1))
		pages++;
	CHECK_EQ(pages, 50);
	while (spill(2, 0, &node_b, others, 1))
		others++;
	CHECK_EQ(others, 25);
	CHECK(spill(0, 0, &node_a, 0, 2)); /* it has that one */
	CHECK(!spill(0, 0, &node_a, 31, 2));
	setup(1000000);
	while (spill(1, places, &node_a, 0, 1))
		places++;
	CHECK_EQ(places, JOURNAL_SPILL / 2);
	CHECK(spill(1, 1000, &node_b, 0, 1));
}

/* Of many places not all are looked at. */
static void next_chunk_is_not_passed_over(void)
{
	setup(1000);
	for (unsigned i = 0; i < 15; i++)
		spill(1, 100 * i, &node_a, 0, 1);
	CHECK_EQ(spill_next_chunk(&s.spill, &inodes[1], 0), 0);
	CHECK_EQ(spill_next_chunk(&s.spill, &inodes[1], 901), 1000);
	CHECK_EQ(spill_next_chunk(&s.spill, &inodes[1], 1401), ~0ull);
	spill(1, 1401, &node_a, 0, 1);
	spill(1, 1402, &node_a, 0, 1);
	CHECK_EQ(spill_next_chunk(&s.spill, &inodes[1], 1401), 1401);
	for (uint64_t at = 901, n = 0; at != 1000; n++) {
		at = spill_next_chunk(&s.spill, &inodes[1], at);
		CHECK(at <= 1000 && n < 10);
		at += at != 1000;
	}
}

static void places_come_free_and_are_used_again(void)
{
	struct spill_place *place;

	setup(1000000);
	for (unsigned round = 0; round < 20 * JOURNAL_SPILL; round++) {
		unsigned nr = round % 3, chunk = check_random() % 40;

		place = spill(nr, chunk, chunk % 2 ? &node_a : &node_b, round % 32, (uint8_t)round);
		if (place)
			page_is(nr, chunk, round % 32, (uint8_t)round);
		place = spill_find(&s.spill, &inodes[nr], check_random() % 40);
		if (place && round % 2)
			spill_free(&s.spill, place);
		if (round % 7 == 0)
			spill_tidy(&s.spill);
	}
	for (unsigned i = 0; i < JOURNAL_SPILL; i++)
		if (spilled[i].state == SPILL_TAKEN)
			spill_free(&s.spill, &s.spill.place[i]);
	CHECK_EQ(s.spill.count, 0);
	CHECK_EQ(s.spill.pages, 0);
	CHECK(TAILQ_EMPTY(&s.spill.nodes));
	while (spill_tidy(&s.spill))
		;
	for (unsigned i = 0; i < sizeof(spilled_data); i++)
		CHECK_EQ(spilled_data[i], 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(inodes[i].wbufs, 0);
}

/* Faults wait while memory is released: of chunks that are full, one at a time. */
static void full_chunks_are_released_one_by_one(void)
{
	setup(1000);
	for (unsigned page = 0; page < 2 * GVM_CHUNK_PAGES; page++)
		CHECK(spill(1, page / GVM_CHUNK_PAGES, &node_a, page % GVM_CHUNK_PAGES, 1));
	for (uint64_t chunk = 0; chunk < 2; chunk++)
		spill_free(&s.spill, spill_find(&s.spill, &inodes[1], chunk));
	CHECK(spill_tidy(&s.spill));
	CHECK_EQ(released, 1);
	CHECK(!spill_tidy(&s.spill));
	CHECK_EQ(released, 2);
}

/* A worker's life: two pages of a chunk are spilled, one of them again, and move to a wbuf; the memory is released. */
static unsigned answered; /* of its writes */

static void life(void)
{
	answered = 0;
	spill(1, 5, &node_a, 1, 1);
	answered++;
	spill(1, 5, &node_a, 2, 2);
	answered++;
	wbuf_unspill(&s, wbufs_open(&s, &inodes[1], 5, &node_a, NOW), spill_find(&s.spill, &inodes[1], 5));
	spill_tidy(&s.spill);
}

/* As store_spill.c does it. */
static void succeed(void)
{
	start(100);
	for (struct wbuf *wbuf = s.wbuf; wbuf != s.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf_is(&s, wbuf) != WBUF_IS_FREE)
			wbuf_adopt(&s, wbuf, &inodes[wbuf_disk(&s, wbuf)->inode], &node_a, NOW);
	if (wbufs_collecting(&s, &inodes[1], 5) && spill_find(&s.spill, &inodes[1], 5)) {
		struct spill_place *place = spill_find(&s.spill, &inodes[1], 5);

		CHECK(spill_adopt(&s.spill, place, &inodes[1], &node_a));
		wbuf_unspill(&s, wbufs_collecting(&s, &inodes[1], 5), place);
	}
}

/* Dies before the at-th change, or after it. False: there are not so many. */
static bool dies(unsigned at, bool after)
{
	setup(100);
	death.at = at;
	death.after = after;
	if (!setjmp(death.dead)) {
		life();
		return false;
	}
	succeed();
	page_is(1, 5, 1, answered || wbufs_pages(&s, &inodes[1], 5) ? 1 : -1);
	CHECK(inodes[1].wbufs >= s.spill.count + JOURNAL_WBUFS - s.free);
	scanned();
	for (unsigned tidied = 0; tidied < 2; tidied++) {
		page_is(1, 5, 1, answered || wbufs_pages(&s, &inodes[1], 5) ? 1 : -1);
		if (answered > 1)
			page_is(1, 5, 2, 2);
		page_is(1, 5, 3, -1);
		CHECK_EQ(inodes[1].wbufs, s.spill.count + JOURNAL_WBUFS - s.free);
		CHECK(!spill_tidy(&s.spill));
	}
	return true;
}

static void successor_finds_what_was_answered(void)
{
	unsigned at = 1;

	while (dies(at, false) && dies(at, true))
		at++;
	CHECK_EQ(at, 15); /* as many changes, and one more */
}

/* Each chunk's place is found before any was looked at; how many there are, and that an fsync has to wait, is known. */
static void successor_knows_at_once_what_there_is(void)
{
	struct spill_place *place;

	setup(1000000);
	for (unsigned i = 0; i < JOURNAL_SPILL / 2; i++)
		CHECK(spill(1 + i % 2, i, &node_a, i % 32, (uint8_t)i));
	spill_free(&s.spill, spill_find(&s.spill, &inodes[2], 3));
	start(1000000);
	for (unsigned i = 0; i < JOURNAL_SPILL / 2; i++)
		page_is(1 + i % 2, i, i % 32, i == 3 ? -1 : (int)i);
	CHECK_EQ(inodes[1].wbufs, JOURNAL_SPILL / 4);
	CHECK_EQ(inodes[2].wbufs, JOURNAL_SPILL / 4 - 1);
	CHECK_EQ(s.spill.count, JOURNAL_SPILL / 2 - 1);
	s.order++;
	CHECK_EQ(wbufs_oldest(&s, &inodes[1]), 1);
	CHECK(wbufs_oldest(&s, &inodes[0]) > s.order);
	/* One is taken over, and is free, before the others were looked at. */
	place = spill_find(&s.spill, &inodes[2], 31);
	CHECK(spill_adopt(&s.spill, place, &inodes[2], &node_b));
	spill_free(&s.spill, place);
	page_is(2, 31, 31, -1);
	page_is(2, 29, 29, 29);
	scanned();
	CHECK_EQ(s.spill.count, JOURNAL_SPILL / 2 - 2);
	CHECK_EQ(s.spill.end, JOURNAL_SPILL / 2);
	CHECK_EQ(s.spill.pages, JOURNAL_SPILL / 2 - 2);
	CHECK_EQ(wbufs_oldest(&s, &inodes[2]), 1);
	for (unsigned i = 0; i < JOURNAL_SPILL / 2; i++)
		page_is(1 + i % 2, i, i % 32, i == 3 || i == 31 ? -1 : (int)i);
	while (spill_tidy(&s.spill))
		;
	CHECK_EQ(released, 2);
}

/* Whatever those are that were not looked at yet, they may all be the node's, and full. */
static void what_is_left_counts_as_any_nodes(void)
{
	setup(JOURNAL_SPILL * GVM_CHUNK_PAGES);
	for (unsigned i = 0; i < JOURNAL_SPILL / 4; i++)
		CHECK(spill(1, i, &node_a, 0, 1));
	start(JOURNAL_SPILL * GVM_CHUNK_PAGES);
	CHECK(!spill(2, 0, &node_b, 0, 1)); /* no place was found free */
	scanned();
	for (unsigned i = 0; i < JOURNAL_SPILL / 4; i++)
		CHECK(spill(2, i, &node_a, 0, 1));
	CHECK(!spill(2, 1000, &node_a, 0, 1));
	for (unsigned i = 0; i < JOURNAL_SPILL / 4; i++)
		spill_free(&s.spill, spill_find(&s.spill, &inodes[1], i));
	start(JOURNAL_SPILL * GVM_CHUNK_PAGES);
	for (unsigned i = 0; i < JOURNAL_SPILL / 4; i++)
		CHECK(!spill_scan(&s.spill, 1));
	for (unsigned i = 0; i < JOURNAL_SPILL / 4; i++)
		CHECK(spill(1, i, &node_b, 0, 1));
	CHECK(!spill(1, 1000, &node_b, 0, 1));
	scanned();
	CHECK(spill(1, 1000, &node_b, 0, 1));
}

static const struct check_test tests[] = {
	{ "newest-page-counts", newest_page_counts },
	{ "wbuf-takes-over-what-was-spilled", wbuf_takes_over_what_was_spilled },
	{ "slot-moves-to-another-node", slot_moves_to_another_node },
	{ "one-node-leaves-room-for-others", one_node_leaves_room_for_others },
	{ "next-chunk-is-not-passed-over", next_chunk_is_not_passed_over },
	{ "places-come-free-and-are-used-again", places_come_free_and_are_used_again },
	{ "full-chunks-are-released-one-by-one", full_chunks_are_released_one_by_one },
	{ "successor-finds-what-was-answered", successor_finds_what_was_answered },
	{ "successor-knows-at-once-what-there-is", successor_knows_at_once_what_there_is },
	{ "what-is-left-counts-as-any-nodes", what_is_left_counts_as_any_nodes },
};
CHECK_MAIN(tests)
