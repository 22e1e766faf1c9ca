// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_cache.c - the decoded chunks that READs are answered from: which one goes, what keeps it, whose they are,
 * and what makes them old. */
#include "check.h"
#include "store/cache.h"

static uint8_t data[CACHE_ENTRIES * GVM_CHUNK_BYTES];
static struct cache c;
static struct inode inodes[4];
static const int nodes[3];
static struct store_wait *const waits = (struct store_wait *)&c; /* anything: it is not looked at */

static void setup(void)
{
	memset(&c, 0, sizeof(c));
	memset(inodes, 0, sizeof(inodes));
	for (unsigned i = 0; i < 4; i++)
		inodes[i].nr = i;
	cache_begin(&c, NULL, data);
}

static struct cache_entry *take(unsigned nr, uint64_t chunk)
{
	return cache_take(&c, &inodes[nr], chunk, &nodes[0]);
}

static void fetch(struct cache_entry *e, uint32_t pages)
{
	e->asked = pages;
	e->stale = 0;
	cache_fetching(&c, e);
}

static void entries_are_found_and_counted(void)
{
	struct cache_entry *e, *other;

	setup();
	e = take(1, 7);
	other = take(2, 7);
	CHECK(e && other && e != other && e->data != other->data);
	CHECK(cache_find(&c, &inodes[1], 7) == e);
	CHECK(cache_find(&c, &inodes[2], 7) == other);
	CHECK(!cache_find(&c, &inodes[1], 8));
	CHECK(!cache_find(&c, &inodes[3], 7));
	CHECK_EQ(inodes[1].entries, 1);
	CHECK_EQ(cache_count_free(&c), CACHE_ENTRIES);
	cache_drop(&c, e);
	CHECK(!cache_find(&c, &inodes[1], 7));
	CHECK(cache_find(&c, &inodes[2], 7) == other);
	CHECK_EQ(inodes[1].entries, 0);
}

static void longest_unused_goes_first(void)
{
	struct cache_entry *e;

	setup();
	for (unsigned i = 0; i < CACHE_ENTRIES; i++)
		take(1, i)->valid = ~0u;
	cache_use(&c, cache_find(&c, &inodes[1], 0));
	e = take(2, 0);
	CHECK(e && !e->valid && !e->want && !e->ahead);
	CHECK(!cache_find(&c, &inodes[1], 1));
	CHECK(cache_find(&c, &inodes[1], 0));
	CHECK_EQ(inodes[1].entries, CACHE_ENTRIES - 1);
	CHECK_EQ(inodes[2].entries, 1);
}

static void what_is_waited_for_or_fetched_stays(void)
{
	struct cache_link link[CACHE_ENTRIES] = { 0 };
	struct cache_entry *e;

	setup();
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		e = take(1, i);
		if (i % 2) {
			fetch(e, 1);
			continue;
		}
		link[i].wait = waits;
		cache_link(e, &link[i]);
	}
	CHECK_EQ(c.fetching, CACHE_ENTRIES / 2);
	CHECK_EQ(cache_count_free(&c), 0);
	CHECK(!take(2, 0));
	/* One that is both is kept by either. */
	e = cache_find(&c, &inodes[1], 4);
	fetch(e, 1);
	cache_unlink(&link[4]);
	CHECK(!link[4].entry);
	CHECK(!take(2, 0));
	cache_fetched(&c, e);
	CHECK(take(2, 0) == e);
	fetch(e, 1);
	CHECK(!take(2, 1));
	e = cache_find(&c, &inodes[1], 5);
	link[5].wait = waits;
	cache_link(e, &link[5]);
	cache_fetched(&c, e);
	CHECK(cache_find(&c, &inodes[1], 5) == e);
	CHECK(!cache_is_free(e));
}

static void waits_are_told_in_their_order(void)
{
	static const unsigned order[] = { 0, 2, 1 };
	struct cache_link link[3] = { 0 }, *at;
	struct cache_entry *e;
	unsigned n = 0;

	setup();
	e = take(1, 0);
	for (unsigned i = 0; i < 3; i++)
		cache_link(e, &link[i]);
	cache_unlink(&link[1]);
	cache_link(e, &link[1]);
	TAILQ_FOREACH(at, &e->links, at)
		CHECK(at == &link[order[n++]]);
	CHECK_EQ(n, 3);
}

/* The first of a region's or a node's that is not allowed any more. */
static unsigned taken(unsigned nr, const void *node, bool same_inode)
{
	const void *both[2] = { node, node };
	unsigned n = 0;

	while (cache_allow(&c, &inodes[same_inode ? nr : nr + n % 2], both, 2)) {
		struct cache_entry *e = cache_take(&c, &inodes[same_inode ? nr : nr + n % 2], 1000 * nr + n, node);

		fetch(e, 1);
		n++;
	}
	return n;
}

static void one_node_leaves_entries_for_others(void)
{
	const void *mixed[2] = { &nodes[0], &nodes[1] }, *others[2] = { &nodes[1], &nodes[2] };
	unsigned n, m;

	setup();
	n = taken(0, &nodes[0], false); /* two regions on it */
	CHECK(n > CACHE_ENTRIES / 2 && n < CACHE_ENTRIES);
	CHECK(!cache_allow(&c, &inodes[2], mixed, 2)); /* one of two chunks is there */
	CHECK(!cache_spares(&c, &nodes[0]));
	CHECK(cache_spares(&c, &nodes[1]));
	m = taken(2, &nodes[1], true);
	CHECK(m > CACHE_ENTRIES / 16);
	CHECK(n + m < CACHE_ENTRIES);
	setup();
	n = taken(1, &nodes[0], true);
	CHECK(n < CACHE_ENTRIES);
	CHECK(cache_allow(&c, &inodes[2], others, 2));
}

static void write_makes_pages_old(void)
{
	struct cache_entry *e;

	setup();
	e = take(1, 3);
	e->valid = 0xff;
	cache_invalidate(&c, &inodes[1], 3, 0x0f);
	cache_invalidate(&c, &inodes[1], 4, ~0u);
	cache_invalidate(&c, &inodes[2], 3, ~0u);
	CHECK_EQ(e->valid, 0xf0);
	CHECK_EQ(e->stale, 0);
	fetch(e, 0x0f);
	cache_invalidate(&c, &inodes[1], 3, 0x11);
	CHECK_EQ(e->valid, 0xe0);
	CHECK_EQ(e->stale, 0x11); /* what is on its way is from before */
}

static void forgotten_region_keeps_what_is_under_way(void)
{
	struct cache_link link = { 0 };
	struct cache_entry *fetching, *waited;

	setup();
	take(1, 0)->valid = ~0u;
	fetching = take(1, 1);
	fetching->valid = 0xf0;
	fetch(fetching, 0x0f);
	waited = take(1, 2);
	waited->valid = 0xf0;
	cache_link(waited, &link);
	take(2, 0)->valid = ~0u;
	cache_forget(&c, &inodes[1]);
	CHECK(!cache_find(&c, &inodes[1], 0));
	CHECK(cache_find(&c, &inodes[1], 1) == fetching && !fetching->valid && fetching->stale == ~0u);
	CHECK(cache_find(&c, &inodes[1], 2) == waited && !waited->valid);
	CHECK_EQ(inodes[1].entries, 2);
	CHECK_EQ(cache_find(&c, &inodes[2], 0)->valid, ~0u);
}

static const struct check_test tests[] = {
	{ "entries-are-found-and-counted", entries_are_found_and_counted },
	{ "longest-unused-goes-first", longest_unused_goes_first },
	{ "what-is-waited-for-or-fetched-stays", what_is_waited_for_or_fetched_stays },
	{ "waits-are-told-in-their-order", waits_are_told_in_their_order },
	{ "one-node-leaves-entries-for-others", one_node_leaves_entries_for_others },
	{ "write-makes-pages-old", write_makes_pages_old },
	{ "forgotten-region-keeps-what-is-under-way", forgotten_region_keeps_what_is_under_way },
};
CHECK_MAIN(tests)
