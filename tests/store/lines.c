// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lines.c - READs that wait in one line, in an order that chance seldom makes: the first gives up, and the second may have
 * what the first might not.
 */
#include "world.h"

#include "../unit/check.h"

static void read_chunks(unsigned nr, uint32_t inode, uint32_t chunk, bool two)
{
	uint32_t first = chunk * CHUNK_CELLS + (two ? CHUNK_CELLS / 2 : 0);

	CHECK(world_event(&(struct event){ E_READ, nr, inode << 28 | first << 14 | CHUNK_CELLS }));
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

static const struct check_test tests[] = {
	{ "next-in-a-line-goes-on-when-the-first-gives-up", next_in_a_line_goes_on_when_the_first_gives_up },
	{ "it-is-noticed-if-it-does-not", it_is_noticed_if_it_does_not },
};
CHECK_MAIN(tests)
