// SPDX-License-Identifier: GPL-2.0-or-later
/* node_regions.c - the rules of regions' content, without a socket: versions, promises, deletion, lists. */
#include "region_rig.h"
#include "memnode/seal.h"

static const uint8_t zeros[GVM_CHUNK_BYTES];

static void only_newer_versions_are_taken(void)
{
	struct region_writer *a = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(put_what(1, 0, 0, gvm_version(0, 1), 0, text, ~0u, 1), GVM_ERR_INVALID);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	/* Never written: zeros, unless the client knows of a version. */
	CHECK_EQ(get(1, 3, 4, 0, &found), GVM_OK);
	CHECK(found.version == 0 && found.cell == STORE_NONE && found.head.zero_map == ~0u);
	CHECK_EQ(get(1, 3, 4, gvm_version(1, 1), &found), GVM_ERR_LOST);

	CHECK_EQ(put(1, 4, gvm_version(3, 5), text), GVM_OK);
	check_content(1, 4, text);
	CHECK_EQ(get(1, 3, 4, gvm_version(3, 5), &found), GVM_OK);
	CHECK_EQ(get(1, 3, 4, gvm_version(3, 6), &found), GVM_ERR_STALE);
	CHECK_EQ(detail, gvm_version(3, 5));
	CHECK_EQ(put(1, 4, gvm_version(3, 5), noise[0]), GVM_OK); /* a repeat: no effect */
	check_content(1, 4, text);
	CHECK_EQ(put_what(1, 3, 4, gvm_version(3, 4), 0, noise[0], ~0u, 1), GVM_ERR_STALE);
	CHECK_EQ(detail, gvm_version(3, 5));
	check_content(1, 4, text);

	CHECK_EQ(put_what(1, 3, 4, gvm_version(4, 1), 0, text, ~0u, 1), GVM_ERR_INVALID);
	CHECK_EQ(put_what(1, 3, 4, 0, 0, text, ~0u, 1), GVM_ERR_INVALID);
	CHECK_EQ(put_what(1, 3, 4, GVM_VERSION_ZERO | gvm_version(3, 9), 0, text, ~0u, 1),
		 GVM_ERR_INVALID);
	CHECK_EQ(put(1, 10, gvm_version(3, 5), text), GVM_ERR_INVALID);
	CHECK_EQ(get(1, 3, 10, 0, &found), GVM_ERR_INVALID);
	writer_end(a);
	teardown();
}

static void blocks_build_on_exactly_their_base(void)
{
	struct region_writer *a = writer(1);
	static uint8_t data[GVM_CHUNK_BYTES];
	struct chunk_head head;
	struct gvm_id region = id(1);
	struct gvm_put_req what = {.region = id(1), .epoch = 1, .version = gvm_version(1, 9)};

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	memcpy(data, text, sizeof(data));
	CHECK_EQ(put(1, 0, gvm_version(1, 2), data), GVM_OK);
	memcpy(data, noise[0], 2 * GVM_PAGE_BYTES);
	memset(data + 4 * GVM_PAGE_BYTES, 0, 2 * GVM_PAGE_BYTES); /* a block becomes zero */
	CHECK_EQ(put_what(1, 1, 0, gvm_version(1, 3), gvm_version(1, 1), data, 5, 1),
		 GVM_ERR_STALE_BASE);
	CHECK_EQ(detail, gvm_version(1, 2));
	check_content(1, 0, text);
	CHECK_EQ(put_what(1, 1, 0, gvm_version(1, 3), gvm_version(1, 2), data, 5, 1), GVM_OK);
	check_content(1, 0, data);
	/* Another block size: the whole chunk is asked for. */
	CHECK_EQ(put_what(1, 1, 0, gvm_version(1, 4), gvm_version(1, 3), data, 1, 2),
		 GVM_ERR_STALE_BASE);
	/* A chunk of zeros is a base without blocks. */
	CHECK_EQ(discard(1, 1, 0, 1, gvm_version(1, 5)), GVM_OK);
	memcpy(data, zeros, sizeof(data));
	memcpy(data, text, 3 * GVM_PAGE_BYTES);
	CHECK_EQ(put_what(1, 1, 0, gvm_version(1, 6), gvm_version(1, 5), data, 3, 1), GVM_OK);
	check_content(1, 0, data);
	/* A whole chunk that does not list all its blocks is none. */
	chunk_encode(codec, text, 3, 0, 1, &region, 0, &head, body);
	CHECK_EQ(regions_put(&regions, &what, &head, body, &detail), GVM_ERR_INVALID);
	/* A block with a wrong hash, or of another place, is not taken. */
	chunk_encode(codec, text, ~0u, 0, 1, &region, 0, &head, body);
	body[head.body_bytes / 2] ^= 1;
	CHECK_EQ(regions_put(&regions, &what, &head, body, &detail), GVM_ERR_CORRUPT);
	body[head.body_bytes / 2] ^= 1;
	what.chunk = 1;
	CHECK_EQ(regions_put(&regions, &what, &head, body, &detail), GVM_ERR_CORRUPT);
	check_content(1, 0, data);
	writer_end(a);
	teardown();
}

static void forgotten_chunks_were_never_written(void)
{
	struct region_writer *a = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	for (unsigned c = 0; c < 5; c++)
		CHECK_EQ(put(1, c, gvm_version(1, 1 + c), text), GVM_OK);
	CHECK_EQ(discard(1, 1, 3, 8, 0), GVM_ERR_INVALID);
	CHECK_EQ(discard(1, 1, 3, 4, 0), GVM_OK);
	CHECK_EQ(regions.totals.chunks, 3);
	CHECK_EQ(get(1, 1, 3, gvm_version(1, 4), &found), GVM_ERR_LOST);
	check_content(1, 2, text);
	check_content(1, 3, zeros);
	CHECK_EQ(put(1, 3, gvm_version(1, 2), text), GVM_OK); /* it has no version to be newer than */
	check_content(1, 3, text);
	/* A late copy comes when the node has been given the slot once more. */
	CHECK_EQ(discard_in_order(1, 1, 3, 1, 0, 100), GVM_OK);
	CHECK_EQ(resize_in_order(1, 1, 10, 10, 101), GVM_OK);
	CHECK_EQ(put(1, 3, gvm_version(1, 2), text), GVM_OK);
	CHECK_EQ(discard_in_order(1, 1, 3, 1, 0, 100), GVM_ERR_STALE);
	CHECK_EQ(detail, 101);
	check_content(1, 3, text);
	CHECK_EQ(discard_in_order(1, 1, 3, 1, 0, 102), GVM_OK);
	CHECK_EQ(put(1, 3, gvm_version(1, 2), text), GVM_OK);
	writer_end(a);
	teardown();
}

static void discarded_chunks_stay_zero(void)
{
	struct region_writer *a = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	for (unsigned c = 0; c < 5; c++)
		CHECK_EQ(put(1, c, gvm_version(1, 1 + c), text), GVM_OK);
	/* One newer chunk in the range: none is changed. */
	CHECK_EQ(discard(1, 1, 0, 10, gvm_version(1, 4)), GVM_ERR_STALE);
	CHECK_EQ(detail, gvm_version(1, 5));
	for (unsigned c = 0; c < 5; c++)
		check_content(1, c, text);
	CHECK_EQ(discard(1, 1, 0, 11, gvm_version(1, 9)), GVM_ERR_INVALID);
	CHECK_EQ(discard(1, 1, 5, UINT64_MAX, gvm_version(1, 9)), GVM_ERR_INVALID);
	CHECK_EQ(discard(1, 1, 0, 10, gvm_version(1, 9)), GVM_OK);
	CHECK_EQ(regions.totals.chunks, 0);
	CHECK_EQ(regions.totals.stored_bytes, 0);
	for (unsigned c = 0; c < 10; c++) {
		check_content(1, c, zeros);
		CHECK_EQ(get(1, 1, c, gvm_version(1, 9), &found), GVM_OK);
		CHECK_EQ(found.version, gvm_version(1, 9));
		/* A PUT that was sent before and comes late. */
		CHECK_EQ(put(1, c, gvm_version(1, 8), text), GVM_ERR_STALE);
	}
	CHECK_EQ(put(1, 0, gvm_version(1, 10), text), GVM_OK);
	CHECK_EQ(discard(1, 1, 0, 1, gvm_version(1, 10)), GVM_OK); /* same version: as it is */
	check_content(1, 0, text);
	writer_end(a);
	teardown();
}

/* A node was rid of its part, and is given it once more by the same writer. */
static void late_copy_takes_nothing_from_a_part_that_was_made_anew(void)
{
	struct region_writer *a;

	setup(1);
	a = writer(1);
	CHECK_EQ(create_in_order(1, 10, 10, 3, 100), GVM_OK);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	CHECK_EQ(delete_in_order(1, 3, 110), GVM_OK);
	CHECK_EQ(create_in_order(1, 10, 10, 3, 120), GVM_OK);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	CHECK_EQ(put(1, 4, gvm_version(3, 1), text), GVM_OK);
	CHECK_EQ(delete_in_order(1, 3, 110), GVM_ERR_STALE);
	CHECK_EQ(detail, 120);
	CHECK_EQ(discard_in_order(1, 3, 4, 1, 0, 115), GVM_ERR_STALE);
	check_content(1, 4, text);
	/* It was there still when it was to be made anew: the DELETE comes only now. */
	CHECK_EQ(create_in_order(1, 10, 10, 3, 140), GVM_OK);
	CHECK_EQ(delete_in_order(1, 3, 130), GVM_ERR_STALE);
	CHECK_EQ(create_in_order(1, 10, 10, 3, 120), GVM_OK);
	CHECK_EQ(delete_in_order(1, 3, 130), GVM_ERR_STALE);
	check_content(1, 4, text);
	/* Another writer's clock is another. */
	CHECK_EQ(attach(a, 1, 4, 0), GVM_OK);
	CHECK_EQ(delete_in_order(1, 3, 1000), GVM_ERR_FENCED);
	CHECK_EQ(delete_in_order(1, 4, 10), GVM_OK);
	writer_end(a);
	teardown();
}

/* The CREATE is a copy that was left on a dead connection. */
static void late_create_makes_no_empty_part(void)
{
	struct region_writer *a;

	setup(1);
	a = writer(1);
	CHECK_EQ(create_in_order(1, 10, 10, 3, 100), GVM_OK);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	CHECK_EQ(delete_in_order(1, 3, 110), GVM_OK);
	CHECK_EQ(create_in_order(1, 10, 10, 3, 100), GVM_ERR_STALE);
	CHECK_EQ(detail, 110);
	CHECK_EQ(create_in_order(1, 10, 10, 2, 1000), GVM_ERR_STALE);
	CHECK_EQ(regions.promised_cells, 0);
	CHECK_EQ(create_in_order(1, 10, 10, 4, 1), GVM_OK); /* another writer's clock is another */
	CHECK_EQ(delete_in_order(1, 0, ~0ull), GVM_OK);
	CHECK_EQ(create_in_order(1, 10, 10, 4, 1), GVM_ERR_STALE);
	CHECK_EQ(create_in_order(1, 10, 10, 4, detail), GVM_OK);
	CHECK_EQ(delete_in_order(1, 0, ~0ull), GVM_OK);
	/* What undoes it comes first. */
	CHECK_EQ(delete_in_order(2, 3, 50), GVM_ERR_LOST);
	CHECK_EQ(delete_in_order(2, 3, 40), GVM_ERR_LOST);
	CHECK_EQ(create_in_order(2, 10, 10, 3, 49), GVM_ERR_STALE);
	CHECK_EQ(create_in_order(2, 10, 10, 3, 50), GVM_OK);
	/* Nobody can make it forget one of a thousand by deleting it again and again. */
	for (unsigned i = 0; i < 2 * GRAVES_MAX; i++)
		CHECK_EQ(delete_in_order(3 + i % (GRAVES_MAX - 3), 3, 50 + i), GVM_ERR_LOST);
	CHECK_EQ(create_in_order(1, 10, 10, 3, 100), GVM_ERR_STALE);
	CHECK_EQ(regions.graves.count, GRAVES_MAX - 1);
	writer_end(a);
	teardown();
}

/* A copy of the RESIZE that made it smaller comes when it has grown again, and was written. */
static void late_resize_cuts_nothing_off(void)
{
	struct region_writer *a = writer(1), *b = writer(2);

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(resize_in_order(1, 1, 4, 4, 100), GVM_OK);
	CHECK_EQ(resize_in_order(1, 1, 4, 4, 100), GVM_OK); /* sent again, since the answer was lost */
	CHECK_EQ(resize_in_order(1, 1, 10, 10, 101), GVM_OK);
	CHECK_EQ(put(1, 8, gvm_version(1, 5), text), GVM_OK);
	CHECK_EQ(resize_in_order(1, 1, 4, 4, 100), GVM_ERR_STALE);
	CHECK_EQ(detail, 101);
	check_content(1, 8, text);
	CHECK_EQ(put(1, 9, gvm_version(1, 6), text), GVM_OK);
	CHECK_EQ(resize_in_order(1, 1, 20, 20, 101), GVM_OK);
	writer_end(a);
	CHECK_EQ(attach(b, 1, 2, 0), GVM_OK); /* of another host, whose clock is another */
	CHECK_EQ(resize_in_order(1, 2, 12, 12, 7), GVM_OK);
	check_content(1, 9, text);
	writer_end(b);
	teardown();
}

static void shrunk_region_brings_nothing_back(void)
{
	struct region_writer *a = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	for (unsigned c = 0; c < 10; c++)
		CHECK_EQ(put(1, c, gvm_version(1, 5), text), GVM_OK);
	CHECK_EQ(resize(1, 1, 4, 3), GVM_ERR_INVALID); /* less promised than is held */
	CHECK_EQ(discard(1, 1, 7, 3, gvm_version(1, 7)), GVM_OK);
	CHECK_EQ(resize(1, 1, 4, 4), GVM_OK);
	CHECK_EQ(regions.totals.chunks, 4);
	CHECK_EQ(put(1, 8, gvm_version(1, 6), text), GVM_ERR_INVALID);
	CHECK_EQ(get(1, 1, 8, 0, &found), GVM_ERR_INVALID);
	CHECK_EQ(resize(1, 1, 20, 20), GVM_OK);
	check_content(1, 3, text);
	for (unsigned c = 4; c < 20; c++)
		check_content(1, c, zeros);
	CHECK_EQ(put(1, 8, gvm_version(1, 6), text), GVM_ERR_STALE);
	CHECK_EQ(put_what(1, 1, 5, gvm_version(1, 4), 0, text, ~0u, 1), GVM_ERR_STALE);
	CHECK_EQ(put(1, 19, gvm_version(1, 1), text), GVM_OK);
	writer_end(a);
	teardown();
}

static void impossible_promises_are_refused_at_once(void)
{
	struct gvm_region_stat_rsp stat;
	uint64_t could;

	setup(1);
	CHECK_EQ(create(1, 1, 2), GVM_ERR_INVALID);
	CHECK_EQ(create(1, REGION_CHUNKS_MAX + 1, 0), GVM_ERR_INVALID);
	CHECK_EQ(create(1, REGION_CHUNKS_MAX, 0), GVM_ERR_NOSPACE);
	CHECK_EQ(create(1, 10000, 10000), GVM_ERR_NOSPACE);
	could = detail;
	CHECK(could > 150 && could < 200);
	CHECK_EQ(create(1, 10000, could + 1), GVM_ERR_NOSPACE);
	CHECK_EQ(create(1, 10000, could), GVM_OK); /* what it said it could */
	CHECK_EQ(create(1, 10000, could), GVM_OK); /* a repeat */
	CHECK_EQ(create(1, 10000, could - 1), GVM_ERR_EXISTS);
	CHECK_EQ(create(2, 10, 10), GVM_ERR_NOSPACE);
	CHECK_EQ(resize(1, 0, 10000, could + 1), GVM_ERR_NOSPACE);
	CHECK_EQ(detail, could);
	CHECK_EQ(regions_stat(&regions, &(struct gvm_region_stat_req){id(1)}, &stat), GVM_OK);
	CHECK_EQ(stat.reserve_chunks, could);
	CHECK_EQ(resize(1, 0, 10000, could - 20), GVM_OK);
	CHECK_EQ(create(2, 10, 10), GVM_OK);
	teardown();

	setup(3);
	CHECK_EQ(create(1, 10000, 10000), GVM_ERR_NOSPACE);
	CHECK(detail > 3 * could - 5);
	teardown();
}

/* A region never takes more than it was promised, however much is free. */
static void region_keeps_to_its_promise(void)
{
	struct region_writer *a = writer(1);

	setup(1);
	CHECK_EQ(create(1, 100, 2), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(put(1, 50, gvm_version(1, 1), text), GVM_OK);
	CHECK_EQ(put(1, 60, gvm_version(1, 1), noise[0]), GVM_OK);
	CHECK_EQ(put(1, 70, gvm_version(1, 1), text), GVM_ERR_NOSPACE);
	CHECK_EQ(put(1, 70, gvm_version(1, 1), zeros), GVM_OK);
	CHECK_EQ(put(1, 50, gvm_version(1, 2), noise[1]), GVM_OK);
	CHECK_EQ(put(1, 50, gvm_version(1, 3), zeros), GVM_OK);
	CHECK_EQ(put(1, 70, gvm_version(1, 2), text), GVM_OK);
	writer_end(a);
	teardown();
}

/*
 * Everything that can be promised is promised, then filled with what does not compress; regions
 * change size, come and go, and answers under way pin as much as they may.
 */
static void promised_put_never_fails(void)
{
	enum { REGIONS = 4 };
	struct region_writer *a = writer(1);
	uint64_t seq = 0, chunks[REGIONS], puts = 0;
	uint32_t pinned[8];
	unsigned pins = 0, reborn = 0;

	setup(1);
	for (unsigned n = 0; n < REGIONS; n++) {
		chunks[n] = n < REGIONS - 1 ? 40 : 1000;
		while (create(n, chunks[n], chunks[n]))
			chunks[n]--;
		CHECK_EQ(attach(a, n, 1, 0), GVM_OK);
	}
	for (unsigned n = 0; n < REGIONS; n++)
		for (uint64_t c = 0; c < chunks[n]; c++)
			CHECK_EQ(put_what(n, 1, c, gvm_version(1, ++seq), 0, noise[0], ~0u, 0), GVM_OK);
	/* Sealed chunks, for which there is room too, have larger heads. */
	CHECK(regions.limit_cells - regions.totals.cells - regions.entry_cells <
	      2 * REGION_CHUNK_CELLS + regions.totals.chunks);
	for (unsigned round = 0; round < 4000; round++) {
		unsigned n = check_random_below(REGIONS);
		uint64_t c = check_random_below((unsigned)chunks[n]);
		struct region_found found;

		if (round % 100 == 99) { /* deleted, and promised anew at once */
			CHECK_EQ(delete_in_order(n, 1, 0),
				 GVM_OK);
			CHECK_EQ(create(n, chunks[n], chunks[n]), GVM_OK);
			CHECK_EQ(attach(a, n, 1, 0), GVM_OK);
			for (uint64_t i = 0; i < chunks[n]; i++)
				CHECK_EQ(put_what(n, 1, i, gvm_version(1, ++seq), 0, noise[1], ~0u, 0), GVM_OK);
			reborn++;
		}
		switch (check_random_below(10)) {
		case 0:
			CHECK_EQ(discard(n, 1, c, 1, gvm_version(1, ++seq)), GVM_OK);
			break;
		case 1:
			CHECK_EQ(put_what(n, 1, c, gvm_version(1, ++seq), 0, text, ~0u, 1), GVM_OK);
			break;
		case 2: /* give some up and ask for it again */
			CHECK_EQ(resize(n, 1, chunks[n] - 1, chunks[n] - 1), GVM_OK);
			CHECK_EQ(resize(n, 1, chunks[n], chunks[n]), GVM_OK);
			break;
		case 3:
		case 4:
			CHECK_EQ(get(n, 1, c, 0, &found), GVM_OK);
			if (pins == 8)
				store_unpin(store, pinned[--pins]);
			if (found.cell != STORE_NONE &&
			    store_pin(store, found.cell, store_cells_of(found.bytes)))
				pinned[pins++] = found.cell;
			break;
		default:
			puts++;
			CHECK_EQ(put_what(n, 1, c, gvm_version(1, ++seq), 0,
					  noise[check_random_below(4)], ~0u, 0),
				 GVM_OK);
		}
	}
	CHECK(puts > 1000 && reborn > 10);
	while (pins)
		store_unpin(store, pinned[--pins]);
	writer_end(a);
	teardown();
}

static void deleted_region_gives_everything_back(void)
{
	struct region_writer *a = writer(1);
	unsigned rounds = 0;

	setup(1);
	CHECK_EQ(create(1, 1000, 150), GVM_OK);
	CHECK_EQ(create(2, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(attach(a, 2, 1, 0), GVM_OK);
	CHECK_EQ(put(2, 3, gvm_version(1, 1), text), GVM_OK);
	for (unsigned c = 0; c < 150; c++)
		CHECK_EQ(put(1, c * 6, gvm_version(1, 1), noise[c % 4]), GVM_OK);
	CHECK_EQ(delete_in_order(1, 1, 0), GVM_OK);
	CHECK_EQ(regions.totals.chunks, 1); /* at once, as far as anybody can tell */
	CHECK_EQ(create(1, 1000, 150), GVM_OK);
	while (regions_reap(&regions, 20))
		rounds++;
	CHECK_EQ(rounds, 7);
	CHECK_EQ(store_cells_free(store), store_cells(store) - regions.totals.cells);
	check_content(2, 3, text);
	check_content(1, 0, zeros);
	writer_end(a);
	teardown();
}

static void damaged_head_is_corrupt_never_data(void)
{
	struct region_writer *a = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(put(1, 0, gvm_version(1, 1), text), GVM_OK);
	CHECK_EQ(get(1, 1, 0, 0, &found), GVM_OK);
	for (unsigned i = 0; i < found.head_bytes; i++) {
		uint8_t *p = (uint8_t *)store_head(store, found.cell) + i;
		struct region_found again;

		*p ^= 0x10;
		CHECK_EQ(get(1, 1, 0, 0, &again), GVM_ERR_CORRUPT);
		*p ^= 0x10;
	}
	CHECK_EQ(get(1, 1, 0, 0, &found), GVM_OK);
	*(uint8_t *)store_head(store, found.cell) ^= 1;
	CHECK_EQ(put_what(1, 1, 0, gvm_version(1, 2), gvm_version(1, 1), text, 1, 1), GVM_ERR_CORRUPT);
	CHECK_EQ(put(1, 0, gvm_version(1, 2), text), GVM_OK); /* a whole chunk heals it */
	check_content(1, 0, text);
	writer_end(a);
	teardown();
}

/* One bit of a block's bytes. */
static void body_flip(uint64_t chunk)
{
	struct region_found found;
	uint8_t byte;

	CHECK_EQ(get(1, 0, chunk, 0, &found), GVM_OK);
	store_copy(store, found.cell, found.bytes - 1, &byte, 1);
	byte ^= 4;
	store_fill(store, found.cell, found.bytes - 1, &byte, 1);
}

static bool body_verifies(uint64_t chunk)
{
	struct gvm_id region = id(1);
	struct region_found found;

	CHECK_EQ(get(1, 0, chunk, 0, &found), GVM_OK);
	store_copy(store, found.cell, found.head_bytes, body, found.head.body_bytes);
	return !chunk_verify(&found.head, body, &region, chunk);
}

static void rotten_chunk_is_mended_in_its_version(void)
{
	struct region_writer *a = writer(1);
	static uint8_t data[GVM_CHUNK_BYTES];
	uint64_t first = gvm_version(1, 1), next = gvm_version(1, 2);
	struct region_found found;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(put(1, 0, first, text), GVM_OK);
	body_flip(0);
	CHECK(!body_verifies(0));
	CHECK_EQ(put(1, 0, first, text), GVM_OK); /* a repeat, which changes nothing */
	CHECK(!body_verifies(0));
	CHECK_EQ(put_what(1, 1, 0, first, first, text, ~0u, 1), GVM_OK);
	check_content(1, 0, text);
	/* A write of other blocks is not refused, and makes what is rotten no better. */
	body_flip(0);
	memcpy(data, text, sizeof(data));
	memcpy(data, noise[0], 2 * GVM_PAGE_BYTES);
	CHECK_EQ(put_what(1, 1, 0, next, first, data, 1, 1), GVM_OK);
	CHECK(!body_verifies(0));
	CHECK_EQ(put_what(1, 1, 0, next, next, data, ~0u, 1), GVM_OK);
	check_content(1, 0, data);
	first = next++;
	CHECK_EQ(put_what(1, 1, 0, first, first, text, ~0u, 1), GVM_OK);
	/* One whose head is damaged, too; which version it has is told. */
	CHECK_EQ(get(1, 1, 0, first, &found), GVM_OK);
	*(uint8_t *)store_head(store, found.cell) ^= 1;
	CHECK_EQ(get(1, 1, 0, first, &found), GVM_ERR_CORRUPT);
	CHECK_EQ(detail, first);
	CHECK_EQ(put_what(1, 1, 0, first, first, text, ~0u, 1), GVM_OK);
	check_content(1, 0, text);
	CHECK_EQ(get(1, 1, 0, 0, &found), GVM_OK);
	CHECK_EQ(found.version, first);
	/* Not a part of it, not with zeros, not damaged, not by a writer before. */
	CHECK_EQ(put_what(1, 1, 0, first, first, text, 1, 1), GVM_ERR_INVALID);
	CHECK_EQ(put_what(1, 1, 0, first, first, zeros, ~0u, 1), GVM_ERR_INVALID);
	CHECK_EQ(put_what(1, 2, 0, first, first, text, ~0u, 1), GVM_ERR_FENCED);
	check_content(1, 0, text);
	/* One that comes late harms nothing newer. */
	CHECK_EQ(put_what(1, 1, 0, next, next, noise[0], ~0u, 1), GVM_ERR_STALE_BASE);
	CHECK_EQ(put(1, 0, next, noise[0]), GVM_OK);
	CHECK_EQ(put_what(1, 1, 0, first, first, text, ~0u, 1), GVM_ERR_STALE);
	check_content(1, 0, noise[0]);
	/* Nor brings back what was cut off: its zeros have the same version. */
	CHECK_EQ(resize(1, 1, 0, 0), GVM_OK);
	CHECK_EQ(resize(1, 1, 10, 10), GVM_OK);
	CHECK_EQ(put_what(1, 1, 0, next, next, noise[0], ~0u, 1), GVM_OK);
	check_content(1, 0, zeros);
	writer_end(a);
	teardown();
}

/* Looks at all of region 1; returns how many are rotten, and in *first the first of them. */
static unsigned check_all(uint64_t *first, uint64_t *version)
{
	struct gvm_region_check_req what = {.region = id(1)};
	struct gvm_region_check_rsp rsp;
	static uint8_t buf[GVM_DATA_MAX];
	unsigned rotten = 0;
	uint32_t bytes;

	do {
		CHECK_EQ(regions_check(&regions, &what, &rsp, buf, &bytes), GVM_OK);
		CHECK_EQ(bytes, rsp.count * GVM_CHECK_ENTRY_BYTES);
		if (!rotten && rsp.count) {
			*first = gvm_load_le(buf, 8);
			*version = gvm_load_le(buf + 8, 8);
		}
		rotten += rsp.count;
		CHECK(rsp.next > what.first);
		what.first = rsp.next;
	} while (what.first != UINT64_MAX);
	CHECK_EQ(regions.totals.rotten, rotten);
	return rotten;
}

static uint16_t put_sealed(struct sealer *s, uint64_t chunk, uint64_t version, uint64_t base, uint32_t blocks)
{
	struct gvm_put_req what = {.region = id(1), .epoch = 1, .chunk = chunk, .version = version, .base = base};
	struct chunk_head head;

	CHECK(!seal_encode(s, codec, text, blocks, 0, 1, &what.region, chunk, version, &head, body));
	return regions_put(&regions, &what, &head, body, &detail);
}

static void check_finds_each_rotten_chunk(void)
{
	static const uint8_t key[SEAL_KEY_BYTES_MIN] = {7};
	struct region_writer *a = writer(1);
	struct gvm_region_check_req what = {.region = id(1), .first = 1ull << 60};
	struct gvm_region_check_rsp rsp;
	struct sealer *s;
	uint64_t chunk, version, one = gvm_version(1, 1), two = gvm_version(1, 2);
	uint32_t bytes;

	CHECK(!sealer_create(key, sizeof(key), &s));
	for (unsigned sealed = 0; sealed < 2; sealed++) {
		setup(1);
		CHECK_EQ(create(1, 2000, 80), GVM_OK);
		CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
		for (unsigned c = 0; c < 2000; c += 25)
			CHECK_EQ(sealed ? put_sealed(s, c, one, 0, ~0u) : put(1, c, one, text), GVM_OK);
		CHECK_EQ(discard(1, 1, 25, 1, two), GVM_OK);
		CHECK_EQ(check_all(&chunk, &version), 0);
		body_flip(1500);
		CHECK_EQ(check_all(&chunk, &version), 1);
		CHECK(chunk == 1500 && version == one);
		/* What is written beside it does not hide it; what takes its place does. */
		CHECK_EQ(sealed ? put_sealed(s, 1500, two, one, 1) : put_what(1, 1, 1500, two, one, text, 1, 1), GVM_OK);
		CHECK_EQ(check_all(&chunk, &version), 1);
		CHECK(chunk == 1500 && version == two);
		CHECK_EQ(sealed ? put_sealed(s, 1500, two, two, ~0u) : put_what(1, 1, 1500, two, two, text, ~0u, 1), GVM_OK);
		CHECK_EQ(regions.totals.rotten, 0);
		CHECK_EQ(regions.rotten_found, 2);
		CHECK_EQ(check_all(&chunk, &version), 0);
		CHECK_EQ(sealed ? put_sealed(s, 50, two, one, 1) : put_what(1, 1, 50, two, one, text, 1, 1), GVM_OK);
		CHECK_EQ(check_all(&chunk, &version), 0);
		for (unsigned c = 50; c < 2000; c += 25)
			body_flip(c);
		CHECK_EQ(check_all(&chunk, &version), 78);
		CHECK_EQ(check_all(&chunk, &version), 78);
		CHECK_EQ(regions.rotten_found, 80);
		CHECK_EQ(regions_check(&regions, &what, &rsp, body, &bytes), GVM_OK);
		CHECK(!rsp.count && rsp.next == UINT64_MAX);
		CHECK_EQ(discard(1, 1, 50, 25, gvm_version(1, 3)), GVM_OK);
		CHECK_EQ(regions.totals.rotten, 77);
		CHECK_EQ(delete_in_order(1, 1, 0), GVM_OK);
		CHECK_EQ(regions.totals.rotten, 0);
		region_writer_gone(a);
		teardown();
	}
	sealer_destroy(s);
	writer_end(a);
}

static uint16_t note(unsigned n, uint64_t epoch, const char *left)
{
	return regions_note(&regions, &(struct gvm_region_note_req){id(n), epoch},
			    (const uint8_t *)left, (uint32_t)strlen(left), &detail);
}

static uint64_t noted(unsigned n, const char *left)
{
	static uint8_t buf[GVM_NOTE_MAX];
	struct gvm_region_noted_rsp rsp;
	uint32_t bytes;

	CHECK_EQ(regions_noted(&regions, &(struct gvm_region_noted_req){id(n)}, &rsp, buf, &bytes),
		 GVM_OK);
	CHECK_EQ(bytes, strlen(left));
	CHECK_MEM(buf, left, bytes);
	return rsp.epoch;
}

static void what_a_writer_leaves_beside_a_region_is_the_next_one_s(void)
{
	static char large[GVM_NOTE_MAX + 1];
	struct region_writer *a = writer(1), *b = writer(2);
	uint64_t cells;

	setup(1);
	CHECK_EQ(create(1, 4, 4), GVM_OK);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	CHECK_EQ(noted(1, ""), 0);
	cells = regions.promised_cells;
	CHECK_EQ(note(1, 3, "first"), GVM_OK);
	CHECK_EQ(note(1, 3, "second"), GVM_OK);
	CHECK_EQ(regions.promised_cells, cells + 1);
	CHECK_EQ(regions_close(&regions, &(struct gvm_region_close_req){id(1), 3}, &detail),
		 GVM_OK);
	CHECK_EQ(attach(b, 1, 4, 0), GVM_OK);
	CHECK_EQ(note(1, 3, "too late"), GVM_ERR_FENCED);
	CHECK_EQ(noted(1, "second"), 3);
	CHECK_EQ(note(2, 3, "of none"), GVM_ERR_LOST);
	/* What was promised has precedence. */
	memset(large, 'x', sizeof(large) - 1);
	CHECK_EQ(note(1, 4, large), GVM_OK);
	CHECK_EQ(noted(1, large), 4);
	CHECK_EQ(note(1, 4, ""), GVM_OK);
	CHECK_EQ(regions.promised_cells, cells);
	regions.promised_cells += regions.promisable_cells - cells;
	CHECK_EQ(note(1, 4, "no room"), GVM_ERR_NOSPACE);
	CHECK_EQ(noted(1, ""), 0);
	regions.promised_cells = cells;
	CHECK_EQ(note(1, 4, "last"), GVM_OK);
	CHECK_EQ(delete_in_order(1, 4, 0), GVM_OK);
	CHECK_EQ(regions.promised_cells, 0);
	region_writer_gone(a);
	region_writer_gone(b);
	teardown();
	writer_end(a);
	writer_end(b);
}

static uint64_t held_field(const uint8_t *entry, unsigned off)
{
	return gvm_load_le(entry + off, 8);
}

static void many_regions_are_asked_about_at_once(void)
{
	const struct gvm_id ids[] = {id(2), id(9), id(1), id(2)};
	uint8_t buf[4 * GVM_HELD_ENTRY_BYTES], none[24] = {0};
	struct region_writer *a = writer(1);
	struct gvm_region_stat_rsp stat;

	setup(1);
	CHECK_EQ(create(1, 4, 4), GVM_OK);
	CHECK_EQ(create(2, 4, 4), GVM_OK);
	CHECK_EQ(attach(a, 2, 3, 0), GVM_OK);
	CHECK_EQ(put(2, 0, gvm_version(3, 1), text), GVM_OK);
	CHECK_EQ(regions_held(&regions, ids[0].b, 4, buf), sizeof(buf));
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *entry = buf + i * GVM_HELD_ENTRY_BYTES;

		CHECK_EQ(entry[0], i != 1);
		if (i == 1) {
			CHECK_MEM(entry + 1, none, sizeof(none));
			continue;
		}
		CHECK_EQ(regions_stat(&regions, &(struct gvm_region_stat_req){ids[i]}, &stat),
			 GVM_OK);
		CHECK_EQ(held_field(entry, 1), stat.epoch);
		CHECK_EQ(held_field(entry, 9), stat.chunks_held);
		CHECK_EQ(held_field(entry, 17), stat.held_bytes);
	}
	CHECK_EQ(held_field(buf, 1), 3);
	CHECK_EQ(held_field(buf, 9), 1);
	writer_end(a);
	teardown();
}

static void lists_are_complete_and_in_order(void)
{
	struct gvm_region_list_req after = {{{0}}};
	struct gvm_region_index_req from = {.region = id(3)};
	struct gvm_region_index_rsp index;
	struct gvm_region_list_rsp list;
	static uint8_t buf[GVM_DATA_MAX];
	struct region_writer *a = writer(1);
	unsigned seen = 0;
	uint32_t bytes;

	setup(1);
	for (unsigned i = 0; i < 4500; i++)
		CHECK_EQ(create((i * 7919) % 4500 + 1, 0, 0), GVM_OK);
	do {
		bytes = regions_list(&regions, &after, &list, buf);
		CHECK_EQ(bytes, list.count * 32);
		for (unsigned i = 0; i < list.count; i++) {
			struct gvm_id want = id(++seen);

			CHECK_MEM(buf + i * 32, want.b, 16);
		}
		memcpy(after.after.b, buf + (list.count - 1) * 32, 16);
	} while (list.more);
	CHECK_EQ(seen, 4500);

	CHECK_EQ(attach(a, 3, 1, 0), GVM_OK);
	CHECK_EQ(resize(3, 1, 20000, 1), GVM_OK);
	CHECK_EQ(put(3, 0, gvm_version(1, 1), text), GVM_OK);
	CHECK_EQ(discard(3, 1, 5000, 15000, gvm_version(1, 2)), GVM_OK);
	seen = 0;
	do {
		CHECK_EQ(regions_index(&regions, &from, &index, buf, &bytes), GVM_OK);
		CHECK_EQ(bytes, index.count * 16);
		for (unsigned i = 0; i < index.count; i++, seen++) {
			CHECK_EQ(gvm_load_le(buf + i * 16, 8), seen ? 4999 + seen : 0);
			CHECK_EQ(gvm_load_le(buf + i * 16 + 8, 8),
				 seen ? GVM_VERSION_ZERO | gvm_version(1, 2) : gvm_version(1, 1));
		}
		from.first = index.next;
	} while (index.next != UINT64_MAX);
	CHECK_EQ(seen, 15001);
	writer_end(a);
	teardown();
}

static const struct check_test tests[] = {
	{"only-newer-versions-are-taken", only_newer_versions_are_taken},
	{"blocks-build-on-exactly-their-base", blocks_build_on_exactly_their_base},
	{"discarded-chunks-stay-zero", discarded_chunks_stay_zero},
	{"late-resize-cuts-nothing-off", late_resize_cuts_nothing_off},
	{"late-copy-takes-nothing-from-a-part-that-was-made-anew", late_copy_takes_nothing_from_a_part_that_was_made_anew},
	{"late-create-makes-no-empty-part", late_create_makes_no_empty_part},
	{"forgotten-chunks-were-never-written", forgotten_chunks_were_never_written},
	{"shrunk-region-brings-nothing-back", shrunk_region_brings_nothing_back},
	{"impossible-promises-are-refused-at-once", impossible_promises_are_refused_at_once},
	{"region-keeps-to-its-promise", region_keeps_to_its_promise},
	{"promised-put-never-fails", promised_put_never_fails},
	{"deleted-region-gives-everything-back", deleted_region_gives_everything_back},
	{"damaged-head-is-corrupt-never-data", damaged_head_is_corrupt_never_data},
	{"check-finds-each-rotten-chunk", check_finds_each_rotten_chunk},
	{"rotten-chunk-is-mended-in-its-version", rotten_chunk_is_mended_in_its_version},
	{"many-regions-are-asked-about-at-once", many_regions_are_asked_about_at_once},
	{"what-a-writer-leaves-beside-a-region-is-the-next-one-s", what_a_writer_leaves_beside_a_region_is_the_next_one_s},
	{"lists-are-complete-and-in-order", lists_are_complete_and_in_order},
};

int main(int argc, char **argv)
{
	return rig_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
