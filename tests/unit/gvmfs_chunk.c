// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_chunk.c - a chunk of the fast path: its lists, what is counted, its hashes, and pages that come. */
#include "check.h"
#include "base/log.h"
#include "uffd/resident_priv.h"

#include <errno.h>

#define CHUNKS 5u

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

/* A memory that notes what is done to it. */
static struct {
	uint32_t present[CHUNKS];
	uint32_t mapped[CHUNKS];
	unsigned punches, copies;
	uint32_t coming_at_copy; /* the mark, when a page came */
	int fail_at;		 /* a copy ends after so many pages; -1: none does */
} kernel;

static struct resident_mark marks[CHUNKS];
static struct chunk chunks[CHUNKS];
static struct resident r;
static struct residents rs;
static struct stats stats;
static uint64_t peak;
static struct session_pages kept;

static uint32_t run(unsigned first, unsigned n)
{
	return (uint32_t)(((1ull << n) - 1) << first);
}

static int fake_copy(struct resident *of, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
		     unsigned *done)
{
	(void)of;
	(void)chunk;
	(void)wake;
	kernel.copies++;
	kernel.coming_at_copy = marks[c].coming;
	for (*done = 0; *done < n; ++*done, first++) {
		if (kernel.present[c] >> first & 1)
			return -EEXIST;
		if (kernel.fail_at == (int)*done)
			return -ENOMEM;
		kernel.present[c] |= 1u << first;
		kernel.mapped[c] |= 1u << first;
	}
	return 0;
}

static int fake_map(struct resident *of, uint64_t c, unsigned first, unsigned n)
{
	(void)of;
	kernel.mapped[c] |= run(first, n);
	return 0;
}

static void fake_wake(struct resident *of, uint64_t c, unsigned first, unsigned n)
{
	(void)of;
	(void)c;
	(void)first;
	(void)n;
}

static int fake_punch(struct resident *of, uint64_t off, uint64_t bytes)
{
	(void)of;
	kernel.punches++;
	for (uint64_t at = off; at < off + bytes; at += GVM_PAGE_BYTES)
		kernel.present[at / GVM_CHUNK_BYTES] &= ~(1u << at / GVM_PAGE_BYTES % GVM_CHUNK_PAGES);
	return 0;
}

static bool fake_data(struct resident *of, enum session_fd which, uint64_t *begin, uint64_t *end)
{
	(void)of;
	(void)which;
	for (uint64_t at = *begin; at < CHUNKS * GVM_CHUNK_BYTES; at += GVM_PAGE_BYTES)
		if (kernel.present[at / GVM_CHUNK_BYTES] >> at / GVM_PAGE_BYTES % GVM_CHUNK_PAGES & 1) {
			*begin = at;
			if (end)
				*end = at + GVM_PAGE_BYTES;
			return true;
		}
	return false;
}

static void fake_mark32(struct resident *of, uint32_t *where, uint32_t value)
{
	(void)of;
	*where = value;
}

static void fake_mark64(struct resident *of, uint64_t *where, uint64_t value)
{
	(void)of;
	*where = value;
}

static const struct resident_env env = {
	.copy = fake_copy, .map = fake_map, .wake = fake_wake, .punch = fake_punch, .data = fake_data,
	.mark32 = fake_mark32, .mark64 = fake_mark64,
};

static void setup(uint64_t pages)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.fail_at = -1;
	memset(marks, 0, sizeof(marks));
	memset(chunks, 0, sizeof(chunks));
	memset(&r, 0, sizeof(r));
	r.env = &env;
	r.rs = &rs;
	r.chunk = chunks;
	r.mark = marks;
	r.bytes = pages * GVM_PAGE_BYTES;
	r.chunks = CHUNKS;
	r.stats = r.mount_stats = &stats;
	r.peak = &peak;
	r.kept = &kept;
	TAILQ_INIT(&r.ios);
}

static void order_is(enum chunk_list_id list, const char *want)
{
	char got[CHUNKS + 1] = "";
	unsigned n = 0;

	for (uint32_t at = r.lists[list].head; at && n < CHUNKS; at = chunks[at - 1].next)
		got[n++] = (char)('0' + at - 1);
	CHECK(!strcmp(got, want));
	CHECK_EQ(r.lists[list].count, n);
}

static void lists_keep_their_order(void)
{
	setup(CHUNKS * GVM_CHUNK_PAGES);
	for (uint64_t c = 0; c < CHUNKS; c++)
		chunk_enlist(&r, c, LIST_ACTIVE);
	order_is(LIST_ACTIVE, "01234");
	chunk_enlist(&r, 1, LIST_ACTIVE);
	order_is(LIST_ACTIVE, "02341");
	chunk_enlist_first(&r, 3, LIST_INACTIVE);
	chunk_enlist_first(&r, 4, LIST_INACTIVE);
	order_is(LIST_ACTIVE, "021");
	order_is(LIST_INACTIVE, "43");
	chunk_unlist(&r, 0);
	chunk_unlist(&r, 1);
	chunk_unlist(&r, 2);
	order_is(LIST_ACTIVE, "");
	CHECK(!r.lists[LIST_ACTIVE].tail);
}

static void pages_are_counted_but_for_holes(void)
{
	setup(CHUNKS * GVM_CHUNK_PAGES);
	CHECK_EQ(pages_put(&r, 0, 0, 8, NULL, false), 0);
	CHECK_EQ(r.here, 8);
	CHECK_EQ(kept.here, 8);
	chunk_mark_holes(&r, 0, 0x0f, true);
	CHECK_EQ(r.here, 4);
	chunk_set_state(&r, 0, CHUNK_EVICTING);
	CHECK_EQ(r.going, 4);
	CHECK_EQ(r.busy, 1);
	chunk_mark_holes(&r, 0, 0x01, false);
	CHECK_EQ(r.here, 5);
	CHECK_EQ(r.going, 5);
	CHECK_EQ(kept.here, 5);
	chunk_forget(&r, 0);
	CHECK_EQ(r.here, 0);
	CHECK_EQ(kept.here, 0);
	CHECK_EQ(r.going, 0);
	CHECK_EQ(r.busy, 0);
	CHECK_EQ(marks[0].filled, 0);
}

static void last_chunk_may_have_fewer_pages(void)
{
	setup((CHUNKS - 1) * GVM_CHUNK_PAGES + 3);
	CHECK_EQ(chunk_pages(&r, 0), ~0u);
	CHECK_EQ(chunk_pages(&r, CHUNKS - 1), 7);
	CHECK_EQ(pages_put(&r, CHUNKS - 1, 0, 3, NULL, false), 0);
	chunk_fill(&r, CHUNKS - 1, ~0u);
	CHECK_EQ(r.here, 3);
}

static void page_is_announced_before_it_comes(void)
{
	setup(CHUNKS * GVM_CHUNK_PAGES);
	CHECK_EQ(pages_put(&r, 1, 4, 4, NULL, false), 0);
	CHECK_EQ(kernel.coming_at_copy, 0xf0);
	CHECK_EQ(marks[1].filled, 0xf0);
	CHECK_EQ(r.here, 4);
}

static void strange_page_goes_before_ours_comes(void)
{
	setup(CHUNKS * GVM_CHUNK_PAGES);
	kernel.present[1] = 1u << 6;
	CHECK_EQ(pages_put(&r, 1, 4, 4, NULL, false), 0);
	CHECK_EQ(kernel.punches, 1);
	CHECK_EQ(marks[1].filled, 0xf0);
}

static void what_did_not_come_is_not_marked(void)
{
	setup(CHUNKS * GVM_CHUNK_PAGES);
	kernel.fail_at = 2;
	CHECK_EQ(pages_put(&r, 1, 4, 4, NULL, false), -ENOMEM);
	CHECK_EQ(marks[1].filled, 0x30);
	CHECK_EQ(marks[1].coming, 0x30);
	CHECK_EQ(r.here, 2);
}

static void holes_are_not_mapped(void)
{
	setup(CHUNKS * GVM_CHUNK_PAGES);
	pages_put(&r, 1, 0, 8, NULL, false);
	chunk_activate(&r, 1);
	chunk_mark_holes(&r, 1, 0x0f, true);
	chunk_set_state(&r, 1, CHUNK_INACTIVE);
	kernel.mapped[1] = 0;
	chunk_show(&r, 1, GVM_NO_PAGE);
	CHECK_EQ(kernel.mapped[1], 0xf0);
	CHECK_EQ(chunks[1].state, CHUNK_RESIDENT);
	/* But the one that is touched. */
	chunk_show(&r, 1, 2);
	CHECK_EQ(kernel.mapped[1], 0xf4);
	CHECK_EQ(chunk_holes(&r, 1), 0x0b);
}

static void hashes_keep_their_pages(void)
{
	XXH128_hash_t all[GVM_CHUNK_PAGES], back[GVM_CHUNK_PAGES];

	setup(CHUNKS * GVM_CHUNK_PAGES);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		all[p] = (XXH128_hash_t){ .low64 = p, .high64 = 1 };
	hashes_learn(&r, 0, all, 0x8421);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		all[p].high64 = 2;
	hashes_learn(&r, 0, all, 0x0402);
	CHECK_EQ(chunks[0].known, 0x8423);
	hashes_spread(&chunks[0], back);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (0x8423 >> p & 1) {
			CHECK_EQ(back[p].low64, p);
			CHECK_EQ(back[p].high64, 0x0402 >> p & 1 ? 2 : 1);
		}
	hashes_forget(&r, 0);
	CHECK_EQ(chunks[0].known, 0);
}

/* Of the last chunks a predecessor has left something. A direct read is of as much as its program likes. */
static void reads_behind_the_end_look_at_no_chunk(void)
{
	struct resident_io io;

	setup(CHUNKS * GVM_CHUNK_PAGES);
	r.recovering = true;
	CHECK(!resident_is_changing(&r, CHUNKS * GVM_CHUNK_BYTES, 1));
	CHECK(!resident_is_changing(&r, 1ull << 50, 1 << 20));
	CHECK(!resident_is_changing(&r, 0, 1ull << 50));
	marks[CHUNKS - 1].filled = 1;
	CHECK(resident_is_changing(&r, (CHUNKS - 1) * GVM_CHUNK_BYTES, 1ull << 50));
	resident_settle(&r, &io, (CHUNKS - 1) * GVM_CHUNK_BYTES, 1ull << 50);
	CHECK_EQ(io.end, CHUNKS * GVM_CHUNK_BYTES);
}

static unsigned ended;

static void io_ended(struct resident_io *io, int error)
{
	(void)io;
	(void)error;
	ended++;
}

/* It would look at the chunks behind that one, as if it were known what is here of them. */
static void failed_fetch_ends_no_read(void)
{
	static const uint8_t byte;
	struct resident_io read = { .done = io_ended }, write = { .done = io_ended };

	setup(CHUNKS * GVM_CHUNK_PAGES);
	resident_settle(&r, &read, 0, 2 * GVM_CHUNK_BYTES);
	resident_write(&r, &write, &byte, 0, 1);
	resident_ios_fail(&r, 0, -EIO);
	CHECK_EQ(ended, 1);
	CHECK(TAILQ_FIRST(&r.ios) == &read && !TAILQ_NEXT(&read, entry));
}

static const struct check_test tests[] = {
	{ "reads-behind-the-end-look-at-no-chunk", reads_behind_the_end_look_at_no_chunk },
	{ "failed-fetch-ends-no-read", failed_fetch_ends_no_read },
	{ "lists-keep-their-order", lists_keep_their_order },
	{ "pages-are-counted-but-for-holes", pages_are_counted_but_for_holes },
	{ "last-chunk-may-have-fewer-pages", last_chunk_may_have_fewer_pages },
	{ "page-is-announced-before-it-comes", page_is_announced_before_it_comes },
	{ "strange-page-goes-before-ours-comes", strange_page_goes_before_ours_comes },
	{ "what-did-not-come-is-not-marked", what_did_not_come_is_not_marked },
	{ "holes-are-not-mapped", holes_are_not_mapped },
	{ "hashes-keep-their-pages", hashes_keep_their_pages },
};
CHECK_MAIN(tests)
