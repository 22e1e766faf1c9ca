// SPDX-License-Identifier: GPL-2.0-or-later
/* stream.c - how often a reader in order faults, with the sizes that gvmfs has: once in RESIDENT_STREAM chunks where
 * they have arrived before it, and at most once for one that comes late. */
#include "world.h"

#include "../unit/check.h"

#include <inttypes.h>

/* Lets all that was asked for arrive, or only the chunk in which the reader waits. */
static void arrive(uint32_t page, bool all)
{
	for (unsigned i = 0; i < W_FETCHES; i++) {
		const struct resident_fetch *f = &world.rs.fetches[i];

		if (!f->r || (!all && f->chunk != page / GVM_CHUNK_PAGES))
			continue;
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

static const struct check_test tests[] = {
	{ "what-is-here-faults-seldom", what_is_here_faults_seldom },
	{ "what-is-late-faults-once", what_is_late_faults_once },
};
CHECK_MAIN(tests)
