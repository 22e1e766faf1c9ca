// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lines.c - READs that come one after the other, in orders that chance seldom makes: the first of a line gives up, and the
 * second may have what the first might not; one meets a page that is lost, and another waits for other pages.
 */
#include "world.h"

#include "../unit/check.h"

#include <errno.h>

static void read_chunks(unsigned nr, uint32_t inode, uint32_t chunk, bool two)
{
	uint32_t first = chunk * CHUNK_CELLS + (two ? CHUNK_CELLS / 2 : 0);

	CHECK(world_event(&(struct event){ E_READ, nr, inode << 28 | first << 14 | CHUNK_CELLS }));
	CHECK(!world_check());
}

static void read_page(unsigned nr, uint32_t page)
{
	CHECK(world_event(&(struct event){ E_READ, nr, page * PAGE_CELLS << 14 | PAGE_CELLS }));
	CHECK(!world_check());
}

static void arrive(uint32_t inode, uint64_t chunk)
{
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		const struct cache_entry *e = &world.store.cache.entries[i];

		if (e->inode != &world.inode[inode] || e->chunk != chunk)
			continue;
		CHECK(world_event(&(struct event){ E_SERVE, i, 0 }));
		world_event(&(struct event){ E_PIECE, i, ~0u });
		world_event(&(struct event){ E_END, i, 0 });
	}
	CHECK(!world_check());
}

static void first_gives_up(void)
{
	world_init(true, false);
	read_chunks(0, 1, 0, false);
	read_chunks(1, 0, 0, false);
	read_chunks(2, 0, 2, false);
	read_chunks(5, 1, 2, false);
	CHECK_EQ(cache_count_free(&world.store.cache), 0);
	read_chunks(3, 0, 4, true); /* it needs two entries */
	read_chunks(4, 0, 8, false);
	arrive(1, 0);
	CHECK_EQ(cache_count_free(&world.store.cache), 1);
	CHECK_EQ(world.reading[3].r.wait.state, WAIT_ENTRIES);
	CHECK_EQ(world.reading[4].r.wait.state, WAIT_ENTRIES);
	CHECK(world_event(&(struct event){ E_CANCEL, 3, 0 }));
}

static void next_in_a_line_goes_on_when_the_first_gives_up(void)
{
	first_gives_up();
	CHECK(!world_check());
	CHECK_EQ(world.reading[4].r.wait.state, WAIT_PAGES);
}

static void it_is_noticed_if_it_does_not(void)
{
	mutant_chosen = "next-asleep";
	first_gives_up();
	CHECK(world_check());
	mutant_chosen = NULL;
}

static unsigned entry_of(uint32_t inode, uint64_t chunk)
{
	const struct cache_entry *e = cache_find(&world.store.cache, &world.inode[inode], chunk);

	CHECK(e);
	return (unsigned)(e - world.store.cache.entries);
}

/* Two READs of one chunk, the second while the first one's GET is under way. That finds a page that no node can read
 * any more. */
static void read_beside_a_lost_page(uint32_t second_page)
{
	world_init(true, false);
	read_page(0, 0);
	read_page(1, second_page);
	CHECK(world_event(&(struct event){ E_SERVE, entry_of(0, 0), ENODATA }));
	CHECK(!world_check());
	CHECK(!world.reading[0].call.used);
}

static void page_that_is_lost_fails_those_alone_that_want_it(void)
{
	read_beside_a_lost_page(5);
	CHECK(world.reading[1].call.used);
	CHECK_EQ(world.store.cache.entries[entry_of(0, 0)].asked, 1u << 5);
	arrive(0, 0);
	CHECK(!world.reading[1].call.used);
	CHECK_EQ(world.stats[0].io_errors, 1);
	read_beside_a_lost_page(0);
	CHECK(!world.reading[1].call.used);
	CHECK_EQ(world.stats[0].io_errors, 2);
}

/* Beside another host's writer a READ that comes after the GET was sent waits for the next one. */
static void page_that_is_lost_fails_no_later_read_where_versions_are_unknown(void)
{
	world_init(true, false);
	CHECK(world_event(&(struct event){ E_DETACH, 0, 0 }));
	read_page(0, 0);
	read_page(1, 0);
	CHECK(world_event(&(struct event){ E_SERVE, entry_of(0, 0), ENODATA }));
	CHECK(!world.reading[0].call.used);
	CHECK(world.reading[1].call.used);
	arrive(0, 0);
	CHECK(!world.reading[1].call.used);
	CHECK_EQ(world.stats[0].io_errors, 1);
}

/* Who looks at a guest's memory in order is not the guest. */
static void reads_through_a_view_are_none_of_the_regions(void)
{
	for (unsigned view = 0; view < 2; view++) {
		const struct inode *inode = &world.inode[0];

		world_init(true, false);
		world.by_view = view;
		for (uint32_t page = 0; page < 2 * GVM_CHUNK_PAGES; page += 4) {
			read_page(0, page);
			arrive(0, page / GVM_CHUNK_PAGES);
			CHECK(!world.reading[0].call.used);
		}
		CHECK(view ? inode->readahead_views && !inode->readahead : inode->readahead && !inode->readahead_views);
	}
}

static const struct check_test tests[] = {
	{ "page-that-is-lost-fails-those-alone-that-want-it", page_that_is_lost_fails_those_alone_that_want_it },
	{ "page-that-is-lost-fails-no-later-read-where-versions-are-unknown",
	  page_that_is_lost_fails_no_later_read_where_versions_are_unknown },
	{ "next-in-a-line-goes-on-when-the-first-gives-up", next_in_a_line_goes_on_when_the_first_gives_up },
	{ "it-is-noticed-if-it-does-not", it_is_noticed_if_it_does_not },
	{ "reads-through-a-view-are-none-of-the-regions", reads_through_a_view_are_none_of_the_regions },
};
CHECK_MAIN(tests)
