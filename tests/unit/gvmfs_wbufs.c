// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_wbufs.c - the journal's wbufs: what they hold, whose they are, and what a successor finds after its
 * predecessor's death at any change of the journal. */
#include "check.h"
#include "journal_death.h"
#include "store/wbufs.h"

#define VERSION 77u
#define NOW	1000u

/* What outlives a worker. */
static struct journal_wbuf disk[JOURNAL_WBUFS];
static uint8_t data[JOURNAL_WBUFS * GVM_CHUNK_BYTES];
static struct journal_spill no_spill[JOURNAL_SPILL];

/* A worker. */
static struct wbufs s;
static struct inode inodes[3];
static const int node_a, node_b;

static void start(void)
{
	memset(&s, 0, sizeof(s));
	memset(inodes, 0, sizeof(inodes));
	for (unsigned i = 0; i < 3; i++)
		inodes[i].nr = i;
	s.disk = disk;
	s.data = data;
	s.mark32 = mark32;
	s.spill.disk = no_spill;
	death.at = 0;
	wbufs_begin(&s);
}

static void setup(void)
{
	memset(disk, 0, sizeof(disk));
	memset(data, 0, sizeof(data));
	start();
}

/* The next worker, with what it finds. */
static void succeed(void)
{
	start();
	for (struct wbuf *wbuf = s.wbuf; wbuf != s.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf_is(&s, wbuf) != WBUF_IS_FREE)
			wbuf_adopt(&s, wbuf, &inodes[wbuf_disk(&s, wbuf)->inode], &node_a, NOW);
}

static void page_is(unsigned nr, uint64_t chunk, unsigned page, int byte)
{
	const uint8_t *at = wbufs_page(&s, &inodes[nr], chunk, page);

	if (byte < 0) {
		CHECK(!at);
		return;
	}
	CHECK(at);
	for (unsigned i = 0; i < GVM_PAGE_BYTES; i++)
		CHECK_EQ(at[i], byte);
}

static struct wbuf *collect(unsigned nr, uint64_t chunk, unsigned page, uint8_t byte)
{
	uint8_t content[GVM_PAGE_BYTES];
	struct wbuf *wbuf = wbufs_collecting(&s, &inodes[nr], chunk);

	memset(content, byte, sizeof(content));
	if (!wbuf)
		wbuf = wbufs_open(&s, &inodes[nr], chunk, &node_a, NOW);
	CHECK(wbuf);
	wbuf_write(&s, wbuf, page * GVM_PAGE_BYTES, (page + 1) * GVM_PAGE_BYTES, content);
	return wbuf;
}

static void newest_page_counts(void)
{
	struct wbuf *first, *second;

	setup();
	first = collect(1, 5, 3, 0x11);
	collect(1, 5, 4, 0x22);
	wbuf_seal(&s, first, VERSION);
	CHECK_EQ(wbuf_is(&s, first), WBUF_IS_SENDING);
	CHECK_EQ(disk[first - s.wbuf].version, VERSION);
	second = collect(1, 5, 4, 0x33);
	CHECK(second != first);
	page_is(1, 5, 3, 0x11);
	page_is(1, 5, 4, 0x33);
	page_is(1, 5, 5, -1);
	page_is(2, 5, 3, -1);
	page_is(1, 6, 3, -1);
	CHECK_EQ(wbufs_pages(&s, &inodes[1], 5), 0x18);
	CHECK_EQ(wbufs_next_chunk(&s, &inodes[1], 0), 5);
	CHECK_EQ(wbufs_next_chunk(&s, &inodes[1], 6), ~0ull);
	CHECK_EQ(wbufs_oldest(&s, &inodes[1]), first->order);
	CHECK_EQ(s.sealed, 1);
	wbuf_free(&s, first);
	page_is(1, 5, 3, -1);
	page_is(1, 5, 4, 0x33);
	CHECK_EQ(wbufs_oldest(&s, &inodes[1]), second->order);
	CHECK_EQ(inodes[1].wbufs, 1);
	CHECK_EQ(s.sealed, 0);
	CHECK_EQ(s.free, JOURNAL_WBUFS - 1);
}

static void refused_wbuf_is_sent_again_unchanged(void)
{
	struct wbuf *wbuf;

	setup();
	wbuf = collect(1, 5, 3, 0x11);
	wbuf_seal(&s, wbuf, VERSION);
	wbuf_refuse(&s, wbuf, NOW + 1);
	CHECK_EQ(wbuf_is(&s, wbuf), WBUF_IS_REFUSED);
	collect(1, 5, 3, 0x22);
	CHECK_EQ(wbuf_data(&s, wbuf)[3 * GVM_PAGE_BYTES], 0x11);
	wbuf_resend(&s, wbuf);
	CHECK_EQ(wbuf_is(&s, wbuf), WBUF_IS_SENDING);
	CHECK_EQ(disk[wbuf - s.wbuf].version, VERSION);
	CHECK_EQ(wbufs_sealed(&s, &inodes[1], 5) - s.wbuf, wbuf - s.wbuf);
}

static void part_of_a_page_is_completed(void)
{
	static const uint8_t two[2] = { 0x77, 0x77 };
	uint8_t content[GVM_PAGE_BYTES];
	struct wbuf *wbuf;
	const uint8_t *at;

	setup();
	wbuf = wbufs_open(&s, &inodes[1], 5, &node_a, NOW);
	memset(content, 0x44, sizeof(content));
	wbuf_complete(&s, wbuf, 2, content);
	page_is(1, 5, 2, -1);
	wbuf_write(&s, wbuf, 2 * GVM_PAGE_BYTES + 1, 2 * GVM_PAGE_BYTES + 3, two);
	at = wbufs_page(&s, &inodes[1], 5, 2);
	CHECK(at && at[0] == 0x44 && at[1] == 0x77 && at[2] == 0x77 && at[3] == 0x44);
	/* Of its own content nothing is copied. */
	wbuf_complete(&s, wbuf, 2, at);
	wbuf_write(&s, wbuf, 2 * GVM_PAGE_BYTES, 3 * GVM_PAGE_BYTES, NULL);
	page_is(1, 5, 2, 0);
	wbuf_write(&s, wbuf, 0, GVM_CHUNK_BYTES, NULL);
	CHECK_EQ(wbufs_pages(&s, &inodes[1], 5), ~0u);
}

/* Were one node dead, or one region's, the others find wbufs. */
static void one_node_leaves_room_for_others(void)
{
	unsigned n = 0, m = 0, k = 0;

	setup();
	while (wbufs_open(&s, &inodes[n % 2], n, &node_a, NOW))
		n++;
	CHECK(n > JOURNAL_WBUFS / 2 && n < JOURNAL_WBUFS);
	CHECK(!wbufs_allow(&s, &inodes[2], &node_a));
	/* Nor is what the other sends a matter of its. */
	CHECK(wbufs_are_short(&s, &node_a));
	CHECK(!wbufs_are_short(&s, &node_b));
	wbuf_seal(&s, wbufs_collecting(&s, &inodes[0], 0), VERSION);
	CHECK_EQ(wbufs_collecting(&s, &inodes[1], 1)->of->sealed, 1);
	CHECK_EQ(s.nodes_count, 1);
	while (wbufs_open(&s, &inodes[2], m, &node_b, NOW))
		m++;
	CHECK(m > JOURNAL_WBUFS / 16);
	CHECK_EQ(s.free, JOURNAL_WBUFS - n - m);
	setup();
	while (wbufs_open(&s, &inodes[1], k, k % 2 ? &node_a : &node_b, NOW))
		k++;
	CHECK(k > JOURNAL_WBUFS / 2 && k < JOURNAL_WBUFS);
	CHECK(wbufs_allow(&s, &inodes[2], &node_a));
}

static void wbufs_come_free_and_are_used_again(void)
{
	setup();
	for (unsigned round = 0; round < 10 * JOURNAL_WBUFS; round++) {
		struct wbuf *wbuf = collect(round % 3, round % 7, round % GVM_CHUNK_PAGES, (uint8_t)round);

		if (check_random() % 2) {
			wbuf_free(&s, wbuf);
			continue;
		}
		if (wbufs_sealed(&s, wbuf->inode, wbuf_disk(&s, wbuf)->chunk))
			wbuf_free(&s, wbufs_sealed(&s, wbuf->inode, wbuf_disk(&s, wbuf)->chunk));
		wbuf_seal(&s, wbuf, round + 1);
	}
	for (struct wbuf *wbuf = s.wbuf; wbuf != s.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf_is(&s, wbuf) != WBUF_IS_FREE)
			wbuf_free(&s, wbuf);
	CHECK_EQ(s.free, JOURNAL_WBUFS);
	CHECK_EQ(s.sealed, 0);
	CHECK_EQ(s.nodes_count, 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(inodes[i].wbufs, 0);
}

/*
 * A worker's life: page 1 of chunk 5 is written twice and sent, written once more meanwhile, refused, sent again,
 * acknowledged; then what was written last is dropped.
 */
static void life(void)
{
	struct wbuf *wbuf = collect(1, 5, 1, 1);

	collect(1, 5, 1, 2);
	wbuf_seal(&s, wbuf, VERSION);
	collect(1, 5, 1, 3);
	wbuf_refuse(&s, wbuf, NOW + 1);
	wbuf_resend(&s, wbuf);
	wbuf_free(&s, wbuf);
	wbuf_free(&s, wbufs_collecting(&s, &inodes[1], 5));
}

/* After each change of the journal in that life: what collects has this in its page, and what is sealed. A page that is
 * written a second time is a mixture until the write is answered: here, where the change is next, all of it is new. */
static const struct {
	const char *change;
	int collecting, sealed; /* -1: there is no such wbuf; 0: there is, without a page */
} after_change[] = {
	{ "none", -1, -1 },	 { "open", 0, -1 },	       { "write", 1, -1 }, { "write again", 2, -1 },
	{ "seal", -1, 2 },	 { "open another", 0, 2 },     { "write", 3, 2 },  { "acknowledged", 3, -1 },
	{ "dropped", -1, -1 },
};
#define CHANGES (sizeof(after_change) / sizeof(*after_change) - 1)

static void wbuf_holds(const struct wbuf *wbuf, int byte)
{
	CHECK_EQ(!wbuf, byte < 0);
	if (!wbuf)
		return;
	CHECK_EQ(wbuf_disk(&s, wbuf)->pages, byte ? 2 : 0);
	for (unsigned i = 0; byte && i < GVM_PAGE_BYTES; i++)
		CHECK_EQ(wbuf_data(&s, wbuf)[GVM_PAGE_BYTES + i], byte);
}

/* Dies before the at-th change, or after it: `found` of after_change. */
static void dies(unsigned at, bool after, unsigned found)
{
	struct wbuf *sealed;

	setup();
	death.at = at;
	death.after = after;
	if (!setjmp(death.dead))
		life();
	CHECK_EQ(death.at, 0);
	succeed();
	sealed = wbufs_sealed(&s, &inodes[1], 5);
	/* Its second write was made, but not answered. */
	wbuf_holds(wbufs_collecting(&s, &inodes[1], 5), at == 3 && !after ? 2 : after_change[found].collecting);
	wbuf_holds(sealed, after_change[found].sealed);
	CHECK_EQ(inodes[1].wbufs, (after_change[found].collecting >= 0) + (after_change[found].sealed >= 0));
	CHECK_EQ(s.sealed, after_change[found].sealed >= 0);
	CHECK_EQ(s.free, JOURNAL_WBUFS - inodes[1].wbufs);
	if (!sealed)
		return;
	CHECK_EQ(wbuf_disk(&s, sealed)->version, VERSION);
	CHECK_EQ(wbuf_is(&s, sealed), WBUF_IS_SENDING);
}

static void successor_finds_what_was_answered(void)
{
	for (unsigned at = 1; at <= CHANGES; at++) {
		dies(at, false, at - 1);
		dies(at, true, at);
	}
}

static void free_wbuf_is_nobodys_whatever_stands_in_it(void)
{
	setup();
	disk[3] = (struct journal_wbuf){ .state = WBUF_FREE, .inode = 1, .chunk = 5, .pages = ~0u, .version = 9 };
	succeed();
	CHECK_EQ(s.free, JOURNAL_WBUFS);
	page_is(1, 5, 0, -1);
	for (unsigned i = 0; i < 4; i++)
		CHECK(wbufs_open(&s, &inodes[1], 10 + i, &node_a, NOW));
	CHECK_EQ(disk[3].chunk, 13);
	CHECK_EQ(disk[3].pages, 0);
	CHECK_EQ(disk[3].version, 0);
}

static void moved_wbufs_count_on_their_new_node(void)
{
	unsigned n = 0;

	setup();
	while (wbufs_open(&s, &inodes[n % 2], n, &node_a, NOW))
		n++;
	wbuf_seal(&s, wbufs_collecting(&s, &inodes[0], 0), VERSION);
	wbuf_seal(&s, wbufs_collecting(&s, &inodes[1], 1), VERSION);
	CHECK(!wbufs_node_allows(&s, &node_a) && wbufs_node_allows(&s, &node_b));
	for (struct wbuf *wbuf = s.wbuf; wbuf != s.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf->inode && wbuf_disk(&s, wbuf)->chunk)
			wbuf_renode(&s, wbuf, &node_b);
	CHECK(wbufs_node_allows(&s, &node_a) && !wbufs_node_allows(&s, &node_b));
	CHECK_EQ(s.nodes_count, 2);
	for (struct wbuf *wbuf = s.wbuf; wbuf != s.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf->inode) {
			bool first = !wbuf_disk(&s, wbuf)->chunk;

			CHECK(wbuf->of->node == (first ? &node_a : &node_b));
			CHECK_EQ(wbuf->of->wbufs, first ? 1 : n - 1);
			CHECK_EQ(wbuf->of->sealed, 1);
		}
	CHECK_EQ(s.sealed, 2);
}

static const struct check_test tests[] = {
	{ "newest-page-counts", newest_page_counts },
	{ "refused-wbuf-is-sent-again-unchanged", refused_wbuf_is_sent_again_unchanged },
	{ "part-of-a-page-is-completed", part_of_a_page_is_completed },
	{ "one-node-leaves-room-for-others", one_node_leaves_room_for_others },
	{ "moved-wbufs-count-on-their-new-node", moved_wbufs_count_on_their_new_node },
	{ "wbufs-come-free-and-are-used-again", wbufs_come_free_and_are_used_again },
	{ "successor-finds-what-was-answered", successor_finds_what_was_answered },
	{ "free-wbuf-is-nobodys-whatever-stands-in-it", free_wbuf_is_nobodys_whatever_stands_in_it },
};
CHECK_MAIN(tests)
