// SPDX-License-Identifier: GPL-2.0-or-later
/* node_regions.c - the rules of regions, epochs, versions and promises, without a socket. */
#include "codec_data.h"
#include "memnode/daemon/region.h"
#include "memnode/daemon/watch.h"

#include <stdbool.h>

#define MEMORY (24u << 20)

static struct store *store;
static struct regions regions;
static struct chunk_codec *codec;
static uint64_t detail;
static uint8_t body[GVM_CHUNK_BYTES];

static struct gvm_id id(unsigned n)
{
	return (struct gvm_id){{(uint8_t)(n >> 8), (uint8_t)n, 1}};
}

static void setup(double overcommit)
{
	CHECK(!store_create(MEMORY, &store));
	store_set_pin_limit(store, 4 * REGION_CHUNK_CELLS);
	CHECK(!regions_init(&regions, store, store_cells(store) - 4 * REGION_CHUNK_CELLS, overcommit));
}

/* Whatever a test did: when the regions go, everything is given back. */
static void teardown(void)
{
	regions_deinit(&regions);
	CHECK_EQ(store_cells_free(store), store_cells(store));
	store_destroy(store);
}

static struct region_writer *writer(uint64_t client)
{
	struct region_writer *w = (struct region_writer *)calloc(1, sizeof(*w));

	w->client = client;
	LIST_INIT(&w->attaches);
	return w;
}

static void writer_end(struct region_writer *w)
{
	region_writer_gone(w);
	free(w);
}

static uint16_t create(unsigned n, uint64_t chunks, uint64_t reserve)
{
	return region_create(&regions,
			     &(struct gvm_region_create_req){
				     .region = id(n), .chunks = chunks, .reserve_chunks = reserve},
			     &detail);
}

static uint16_t attach(struct region_writer *w, unsigned n, uint64_t epoch, uint8_t force)
{
	struct gvm_region_open_rsp rsp;

	return region_open(&regions,
			   &(struct gvm_region_open_req){
				   .region = id(n), .mode = 1, .force = force, .epoch = epoch},
			   w, &rsp, &detail);
}

static struct gvm_region_open_rsp look(unsigned n)
{
	struct region_writer *w = writer(0);
	struct gvm_region_open_rsp rsp;

	CHECK_EQ(region_open(&regions, &(struct gvm_region_open_req){.region = id(n)}, w, &rsp,
			     &detail),
		 GVM_OK);
	writer_end(w);
	return rsp;
}

static uint16_t resize(unsigned n, uint64_t epoch, uint64_t chunks, uint64_t reserve)
{
	return region_resize(&regions,
			     &(struct gvm_region_resize_req){.region = id(n),
							     .epoch = epoch,
							     .chunks = chunks,
							     .reserve_chunks = reserve},
			     &detail);
}

static uint16_t put_what(unsigned n, uint64_t epoch, uint64_t chunk, uint64_t version, uint64_t base,
			 const uint8_t *data, uint32_t blocks, unsigned shift)
{
	struct gvm_put_req what = {
		.region = id(n), .epoch = epoch, .chunk = chunk, .version = version, .base = base};
	struct gvm_id region = id(n);
	struct chunk_head head;

	chunk_encode(codec, data, blocks, chunk_zero_pages(data), shift, &region, chunk, &head, body);
	return region_put(&regions, &what, &head, body, &detail);
}

static uint16_t put(unsigned n, uint64_t chunk, uint64_t version, const uint8_t *data)
{
	return put_what(n, gvm_version_epoch(version), chunk, version, 0, data, ~0u, 1);
}

static uint16_t get(unsigned n, uint64_t epoch, uint64_t chunk, uint64_t version,
		    struct region_found *found)
{
	struct gvm_get_req what = {.region = id(n),
				   .epoch = epoch,
				   .chunk = chunk,
				   .version = version,
				   .page_mask = ~0u,
				   .want_page = GVM_NO_PAGE};

	return region_get(&regions, &what, found, &detail);
}

static void check_content(unsigned n, uint64_t chunk, const uint8_t *data)
{
	static uint8_t got[GVM_CHUNK_BYTES];
	struct gvm_id region = id(n);
	struct region_found found;
	uint32_t valid;

	CHECK_EQ(get(n, 0, chunk, 0, &found), GVM_OK);
	if (found.cell != STORE_NONE)
		store_read(store, found.cell, found.head_bytes, body, found.head.body_bytes);
	CHECK(!chunk_decode(codec, &found.head, body, &region, chunk, ~0u, got, &valid));
	CHECK_EQ(valid, ~0u);
	CHECK_MEM(got, data, GVM_CHUNK_BYTES);
}

static uint16_t discard(unsigned n, uint64_t epoch, uint64_t first, uint64_t count, uint64_t version)
{
	return region_discard(&regions,
			      &(struct gvm_discard_req){.region = id(n),
							.epoch = epoch,
							.first = first,
							.count = count,
							.version = version},
			      &detail);
}

static uint8_t noise[4][GVM_CHUNK_BYTES], text[GVM_CHUNK_BYTES], zeros[GVM_CHUNK_BYTES];

static void data_fill(void)
{
	for (unsigned i = 0; i < 4; i++)
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			page_fill(noise[i] + p * GVM_PAGE_BYTES, PAGE_RANDOM);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(text + p * GVM_PAGE_BYTES, PAGE_TEXT);
}

static void only_a_higher_epoch_attaches(void)
{
	struct region_writer *a = writer(1), *b = writer(2), *a2 = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_LOST);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 0, 0), GVM_ERR_INVALID);
	CHECK_EQ(attach(a, 1, GVM_EPOCH_MAX + 1, 0), GVM_ERR_INVALID);
	CHECK_EQ(attach(a, 1, 5, 0), GVM_OK);
	CHECK(look(1).writer && look(1).epoch == 5);
	CHECK_EQ(attach(a2, 1, 5, 0), GVM_OK); /* another connection of the same writer */
	CHECK_EQ(attach(b, 1, 5, 1), GVM_ERR_FENCED);
	CHECK_EQ(detail, 5);
	CHECK_EQ(attach(b, 1, 4, 1), GVM_ERR_FENCED);
	CHECK_EQ(attach(b, 1, 6, 0), GVM_ERR_BUSY);
	CHECK_EQ(detail, 5);
	/* One of two connections ends: still alive. Both: no longer. */
	region_writer_gone(a);
	CHECK(look(1).writer);
	region_writer_gone(a2);
	CHECK(!look(1).writer);
	CHECK_EQ(attach(a, 1, 5, 0), GVM_OK); /* comes back */
	CHECK_EQ(put(1, 0, gvm_version(5, 1), text), GVM_OK);
	CHECK_EQ(attach(b, 1, 6, 1), GVM_OK); /* takes it by force: from here on the old one is fenced */
	CHECK_EQ(put(1, 0, gvm_version(5, 2), text), GVM_ERR_FENCED);
	CHECK_EQ(detail, 6);
	CHECK_EQ(get(1, 5, 0, 0, &found), GVM_ERR_FENCED);
	CHECK_EQ(discard(1, 5, 0, 1, gvm_version(5, 2)), GVM_ERR_FENCED);
	CHECK_EQ(resize(1, 5, 5, 5), GVM_ERR_FENCED);
	CHECK_EQ(attach(a, 1, 5, 1), GVM_ERR_FENCED);
	CHECK_EQ(get(1, 0, 0, 0, &found), GVM_OK); /* a reader has no epoch */
	/* The fenced writer's connection ends: that is not the new writer's end. */
	region_writer_gone(a);
	CHECK(look(1).writer);
	CHECK_EQ(region_close(&regions, &(struct gvm_region_close_req){id(1), 5}, &detail),
		 GVM_ERR_FENCED);
	CHECK_EQ(region_close(&regions, &(struct gvm_region_close_req){id(1), 6}, &detail), GVM_OK);
	CHECK(!look(1).writer);
	CHECK_EQ(attach(a, 1, 7, 0), GVM_OK);
	CHECK_EQ(region_delete(&regions, &(struct gvm_region_delete_req){id(1), 6}, &detail),
		 GVM_ERR_FENCED);
	CHECK_EQ(region_delete(&regions, &(struct gvm_region_delete_req){id(1), 7}, &detail), GVM_OK);
	CHECK_EQ(put(1, 0, gvm_version(7, 3), text), GVM_ERR_LOST);
	writer_end(a);
	writer_end(a2);
	writer_end(b);
	teardown();
}

static void views_never_go_back(void)
{
	struct region_writer *a = writer(1);
	struct gvm_region_open_rsp rsp;
	struct gvm_region_open_req what = {.region = id(1), .mode = 1, .epoch = 1, .view = 5};

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(region_open(&regions, &what, a, &rsp, &detail), GVM_OK);
	CHECK_EQ(rsp.view, 5);
	what.view = 4;
	what.epoch = 2;
	CHECK_EQ(region_open(&regions, &what, a, &rsp, &detail), GVM_ERR_STALE);
	CHECK_EQ(detail, 5);
	CHECK_EQ(look(1).epoch, 1);
	what = (struct gvm_region_open_req){.region = id(1), .view = 9};
	CHECK_EQ(region_open(&regions, &what, a, &rsp, &detail), GVM_OK);
	CHECK_EQ(look(1).view, 5); /* one that only looks changes nothing */
	writer_end(a);
	teardown();
}

static uint16_t watch(struct region_writer *w, unsigned n, uint8_t mode, uint64_t number)
{
	struct gvm_region_open_rsp rsp;

	return region_open(&regions,
			   &(struct gvm_region_open_req){
				   .region = id(n), .mode = mode, .epoch = number},
			   w, &rsp, &detail);
}

static void a_writer_waits_for_watches_of_others(void)
{
	struct region_writer *a = writer(1), *b = writer(2), *c = writer(3), *none = writer(0);

	setup(1);
	CHECK_EQ(watch(b, 1, 2, 1), GVM_ERR_LOST);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(watch(b, 1, 2, 0), GVM_ERR_INVALID);
	CHECK_EQ(watch(b, 1, 7, 1), GVM_ERR_INVALID);
	CHECK_EQ(watch(none, 1, 2, 1), GVM_ERR_INVALID);
	CHECK_EQ(watch(b, 1, 2, 5), GVM_OK);
	CHECK_EQ(watch(b, 1, 2, 6), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_WATCHED);
	CHECK_EQ(attach(a, 1, 1, 1), GVM_ERR_WATCHED); /* force is for writers */
	/* While it waits there is no watch, neither the old one nor another; its own aside. */
	CHECK_EQ(watch(b, 1, 2, 7), GVM_ERR_WATCHED);
	CHECK_EQ(detail, 1);
	CHECK_EQ(watch(c, 1, 2, 1), GVM_ERR_WATCHED);
	CHECK_EQ(detail, 0);
	CHECK_EQ(watch(a, 1, 2, 1), GVM_OK);
	/* The end of an earlier watch does not end this one, nor does somebody else's end. */
	CHECK_EQ(watch(b, 1, 3, 5), GVM_OK);
	CHECK_EQ(watch(c, 1, 3, 9), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 3, 6), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	/* Beside a writer there may be watches: the next one waits for them. This one has it already. */
	CHECK_EQ(watch(b, 1, 2, 8), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(attach(a, 1, 2, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 3, 8), GVM_OK);
	CHECK_EQ(attach(a, 1, 2, 0), GVM_OK);
	/* One that lets a writer pass bars the next again. */
	CHECK_EQ(watch(b, 1, 2, 9), GVM_OK);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 4, 8), GVM_OK); /* an earlier one */
	CHECK_EQ(attach(a, 1, 3, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 4, 9), GVM_OK);
	CHECK_EQ(watch(b, 1, 2, 10), GVM_ERR_WATCHED);
	CHECK_EQ(detail, 0);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	CHECK_EQ(watch(b, 1, 4, 10), GVM_OK); /* nobody waits */
	CHECK_EQ(attach(a, 1, 4, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 3, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 4, 0), GVM_OK);
	CHECK_EQ(watch(c, 1, 2, 2), GVM_OK); /* the region goes with a watch */
	CHECK_EQ(region_delete(&regions, &(struct gvm_region_delete_req){id(1), 4}, &detail), GVM_OK);
	writer_end(a);
	writer_end(b);
	writer_end(c);
	writer_end(none);
	teardown();
}

static void a_watch_lapses_and_a_claim_too(void)
{
	struct watches w = {.count = 0};
	uint64_t barred = 0;

	CHECK_EQ(watches_renew(&w, 1, 1, 1000, &barred), GVM_OK);
	CHECK(watches_bar(&w, 2, 1000));
	CHECK_EQ(watches_renew(&w, 1, 2, 1000 + WATCH_CLAIM_NS - 1, &barred), GVM_ERR_WATCHED);
	CHECK_EQ(barred, 1);
	watches_pass(&w, 1, 2, 1000 + WATCH_CLAIM_NS - 1);
	CHECK(watches_bar(&w, 2, 1000 + WATCH_CLAIM_NS)); /* it came too late */
	watches_attached(&w);
	CHECK_EQ(watches_renew(&w, 1, 2, 1000 + WATCH_CLAIM_NS, &barred), GVM_OK);
	CHECK(watches_bar(&w, 2, 999 + WATCH_CLAIM_NS + WATCH_NS));
	CHECK(!watches_bar(&w, 2, 1000 + WATCH_CLAIM_NS + WATCH_NS));
	CHECK_EQ(w.count, 0);
	watches_attached(&w);
	for (unsigned i = 0; i < WATCH_MAX; i++)
		CHECK_EQ(watches_renew(&w, 10 + i, 1, 5000, &barred), GVM_OK);
	CHECK_EQ(watches_renew(&w, 1, 1, 5000, &barred), GVM_ERR_NOSPACE);
	CHECK_EQ(watches_renew(&w, 10, 2, 5000, &barred), GVM_OK);
	CHECK_EQ(watches_renew(&w, 1, 1, 5000 + WATCH_NS, &barred), GVM_OK); /* the others have lapsed */
	CHECK_EQ(w.count, 1);
	watches_deinit(&w);
}

/* Two hosts that read a region, and each want to write: one of them gets it. */
static void of_two_watching_writers_one_gets_in(void)
{
	struct watches w = {.count = 0};
	uint64_t barred = 0, now;

	CHECK_EQ(watches_renew(&w, 1, 1, 1000, &barred), GVM_OK);
	CHECK_EQ(watches_renew(&w, 2, 1, 1000, &barred), GVM_OK);
	for (now = 1000; now <= 1000 + WATCH_NS; now += WATCH_CLAIM_NS / 4) {
		if (!watches_bar(&w, 1, now))
			break;
		CHECK_EQ(watches_renew(&w, 1, now, now, &barred), GVM_OK);
		CHECK(watches_bar(&w, 2, now));
		CHECK_EQ(watches_renew(&w, 2, now, now, &barred), GVM_ERR_WATCHED);
	}
	CHECK_EQ(now, 1000 + WATCH_NS);
	/* One that gave up is not waited for, though its client goes on to watch. */
	CHECK_EQ(watches_renew(&w, 2, 2, now + WATCH_CLAIM_NS, &barred), GVM_OK);
	CHECK(watches_bar(&w, 1, now + WATCH_CLAIM_NS));
	CHECK_EQ(watches_renew(&w, 1, now, now + WATCH_CLAIM_NS, &barred), GVM_OK);
	CHECK(watches_bar(&w, 2, now + 2 * WATCH_CLAIM_NS - 1));
	CHECK(watches_bar(&w, 2, now + 2 * WATCH_CLAIM_NS));
	CHECK_EQ(watches_renew(&w, 1, now, now + 2 * WATCH_CLAIM_NS, &barred), GVM_ERR_WATCHED);
	CHECK_EQ(barred, 1);
	watches_deinit(&w);
}

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
	CHECK_EQ(region_put(&regions, &what, &head, body, &detail), GVM_ERR_INVALID);
	/* A block with a wrong hash, or of another place, is not taken. */
	chunk_encode(codec, text, ~0u, 0, 1, &region, 0, &head, body);
	body[head.body_bytes / 2] ^= 1;
	CHECK_EQ(region_put(&regions, &what, &head, body, &detail), GVM_ERR_CORRUPT);
	body[head.body_bytes / 2] ^= 1;
	what.chunk = 1;
	CHECK_EQ(region_put(&regions, &what, &head, body, &detail), GVM_ERR_CORRUPT);
	check_content(1, 0, data);
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
	CHECK_EQ(region_stat(&regions, &(struct gvm_region_stat_req){id(1)}, &stat), GVM_OK);
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
			CHECK_EQ(region_delete(&regions, &(struct gvm_region_delete_req){id(n), 1}, &detail),
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
	CHECK_EQ(region_delete(&regions, &(struct gvm_region_delete_req){id(1), 1}, &detail), GVM_OK);
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
		bytes = region_list(&regions, &after, &list, buf);
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
		CHECK_EQ(region_index(&regions, &from, &index, buf, &bytes), GVM_OK);
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

static uint16_t attach_leased(struct region_writer *w, uint64_t epoch, uint32_t lease_ms, uint8_t lapse)
{
	struct gvm_region_open_rsp rsp;

	return region_open(&regions,
			   &(struct gvm_region_open_req){.region = id(1),
							 .mode = 1,
							 .epoch = epoch,
							 .lease_ms = lease_ms,
							 .lapse = lapse},
			   w, &rsp, &detail);
}

static uint64_t boottime = 1000000000;

/* The node is looked at each second. */
static void seconds_pass(unsigned count)
{
	while (count--)
		regions_clock(&regions, boottime += 1000000000);
}

static void a_lease_outlives_its_writers_connections(void)
{
	struct region_writer *a = writer(1), *b = writer(2);

	setup(1);
	seconds_pass(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 10000, 0), GVM_OK);
	seconds_pass(60); /* it does not count while the writer is there */
	region_writer_gone(a);
	CHECK_EQ(look(1).writer, GVM_WRITER_AWAY);
	CHECK_EQ(look(1).lease_ms, 10000);
	seconds_pass(9);
	CHECK_EQ(attach(b, 1, 2, 0), GVM_ERR_BUSY);
	CHECK_EQ(attach_leased(a, 1, 10000, 0), GVM_OK); /* back */
	region_writer_gone(a);
	seconds_pass(9);
	CHECK_EQ(look(1).lease_ms, 1000);
	/* Stopped for an hour, the node does not count that. */
	regions_clock(&regions, boottime += 3600ull * 1000000000);
	CHECK_EQ(look(1).writer, GVM_WRITER_LAPSED);
	CHECK_EQ(attach_leased(a, 1, 10000, 0), GVM_OK); /* lapsed, and nobody has taken it */
	region_writer_gone(a);
	regions_clock(&regions, boottime += 3600ull * 1000000000);
	CHECK_EQ(look(1).lease_ms, 8000);
	CHECK_EQ(attach(b, 1, 2, 2), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_FENCED);
	region_writer_gone(b);
	/* Given up, it is free at once. */
	CHECK_EQ(attach_leased(a, 3, 10000, 0), GVM_OK);
	CHECK_EQ(attach(b, 1, 4, 2), GVM_ERR_BUSY); /* not a connection */
	CHECK_EQ(region_close(&regions, &(struct gvm_region_close_req){id(1), 3}, &detail), GVM_OK);
	CHECK_EQ(look(1).writer, GVM_WRITER_NONE);
	CHECK_EQ(attach(b, 1, 4, 0), GVM_OK);
	writer_end(a);
	writer_end(b);
	teardown();
}

static void a_held_region_is_its_writers_until_it_is_claimed(void)
{
	struct region_writer *a = writer(1), *b = writer(2), *c = writer(3);

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 1000, 0), GVM_OK);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_ERR_BUSY);
	region_writer_gone(a);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_ERR_BUSY);
	seconds_pass(2);
	CHECK_EQ(watch(b, 1, 5, 1), GVM_ERR_FENCED);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_OK);
	CHECK_EQ(attach(c, 1, 2, 1), GVM_ERR_BUSY);
	CHECK_EQ(attach_leased(a, 1, 1000, 0), GVM_OK); /* not fenced yet */
	CHECK_EQ(put(1, 0, gvm_version(1, 1), text), GVM_OK);
	CHECK_EQ(watch(b, 1, 6, 2), GVM_OK); /* given up: it stays the first one's */
	CHECK_EQ(attach(b, 1, 2, 0), GVM_ERR_BUSY);
	CHECK_EQ(put(1, 0, gvm_version(1, 2), text), GVM_OK);
	region_writer_gone(a);
	seconds_pass(2);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 1000, 0), GVM_OK);
	CHECK_EQ(attach(b, 1, 2, 0), GVM_OK); /* what was held is had, on every node */
	CHECK_EQ(put(1, 0, gvm_version(1, 3), text), GVM_ERR_FENCED);
	CHECK_EQ(watch(c, 1, 5, 3), GVM_ERR_BUSY);
	region_writer_gone(b);
	CHECK_EQ(watch(c, 1, 5, 3), GVM_OK);
	seconds_pass(6); /* its claimer is gone */
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	writer_end(a);
	writer_end(b);
	writer_end(c);
	teardown();
}

static void a_lapsed_region_goes_if_its_writer_wanted_that(void)
{
	struct region_writer *a = writer(1);
	struct gvm_id removed;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 5000, 2), GVM_ERR_INVALID);
	CHECK_EQ(attach_leased(a, 1, 5000, 1), GVM_OK);
	seconds_pass(10);
	CHECK(!regions_lapse(&regions, &removed));
	region_writer_gone(a);
	seconds_pass(4);
	CHECK(!regions_lapse(&regions, &removed));
	seconds_pass(2);
	CHECK(regions_lapse(&regions, &removed));
	CHECK(!regions_lapse(&regions, &removed));
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_LOST);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 5000, 0), GVM_OK);
	region_writer_gone(a);
	seconds_pass(10);
	CHECK(!regions_lapse(&regions, &removed));
	writer_end(a);
	teardown();
}

static const struct check_test tests[] = {
	{"only-a-higher-epoch-attaches", only_a_higher_epoch_attaches},
	{"views-never-go-back", views_never_go_back},
	{"a-lease-outlives-its-writers-connections", a_lease_outlives_its_writers_connections},
	{"a-held-region-is-its-writers-until-it-is-claimed", a_held_region_is_its_writers_until_it_is_claimed},
	{"a-lapsed-region-goes-if-its-writer-wanted-that", a_lapsed_region_goes_if_its_writer_wanted_that},
	{"a-writer-waits-for-watches-of-others", a_writer_waits_for_watches_of_others},
	{"a-watch-lapses-and-a-claim-too", a_watch_lapses_and_a_claim_too},
	{"of-two-watching-writers-one-gets-in", of_two_watching_writers_one_gets_in},
	{"only-newer-versions-are-taken", only_newer_versions_are_taken},
	{"blocks-build-on-exactly-their-base", blocks_build_on_exactly_their_base},
	{"discarded-chunks-stay-zero", discarded_chunks_stay_zero},
	{"shrunk-region-brings-nothing-back", shrunk_region_brings_nothing_back},
	{"impossible-promises-are-refused-at-once", impossible_promises_are_refused_at_once},
	{"region-keeps-to-its-promise", region_keeps_to_its_promise},
	{"promised-put-never-fails", promised_put_never_fails},
	{"deleted-region-gives-everything-back", deleted_region_gives_everything_back},
	{"damaged-head-is-corrupt-never-data", damaged_head_is_corrupt_never_data},
	{"lists-are-complete-and-in-order", lists_are_complete_and_in_order},
};

int main(int argc, char **argv)
{
	codec = chunk_codec_create();
	CHECK(codec);
	data_fill();
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
