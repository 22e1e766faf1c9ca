/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_rig.h - a node's regions and store without a socket, and requests to them. */
#ifndef REGION_RIG_H
#define REGION_RIG_H

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

static inline struct gvm_id id(unsigned n)
{
	return (struct gvm_id){{(uint8_t)(n >> 8), (uint8_t)n, 1}};
}

static inline void setup(double overcommit)
{
	CHECK(!store_create(MEMORY, &store));
	store_set_pin_limit(store, 4 * REGION_CHUNK_CELLS);
	CHECK(!regions_init(&regions, store, store_cells(store) - 4 * REGION_CHUNK_CELLS, overcommit));
}

/* Whatever a test did: when the regions go, everything is given back. */
static inline void teardown(void)
{
	regions_deinit(&regions);
	CHECK_EQ(store_cells_free(store), store_cells(store));
	store_destroy(store);
}

static inline struct region_writer *writer(uint64_t client)
{
	struct region_writer *w = (struct region_writer *)calloc(1, sizeof(*w));

	w->client = client;
	LIST_INIT(&w->attaches);
	return w;
}

static inline void writer_end(struct region_writer *w)
{
	region_writer_gone(w);
	free(w);
}

static inline uint16_t create(unsigned n, uint64_t chunks, uint64_t reserve)
{
	return regions_create(&regions,
			      &(struct gvm_region_create_req){
				      .region = id(n), .chunks = chunks, .reserve_chunks = reserve},
			      &detail);
}

static inline uint16_t create_in_order(unsigned n, uint64_t chunks, uint64_t reserve, uint64_t epoch, uint64_t order)
{
	return regions_create(&regions,
			      &(struct gvm_region_create_req){.region = id(n),
							      .chunks = chunks,
							      .reserve_chunks = reserve,
							      .epoch = epoch,
							      .order = order},
			      &detail);
}

static inline uint16_t delete_in_order(unsigned n, uint64_t epoch, uint64_t order)
{
	return regions_delete(&regions, &(struct gvm_region_delete_req){id(n), epoch, order},
			      &detail);
}

static inline uint16_t attach(struct region_writer *w, unsigned n, uint64_t epoch, uint8_t force)
{
	struct gvm_region_open_rsp rsp;

	return regions_open(&regions,
			    &(struct gvm_region_open_req){
				    .region = id(n), .mode = 1, .force = force, .epoch = epoch},
			    w, &rsp, &detail);
}

static inline struct gvm_region_open_rsp look(unsigned n)
{
	struct region_writer *w = writer(0);
	struct gvm_region_open_rsp rsp;

	CHECK_EQ(regions_open(&regions, &(struct gvm_region_open_req){.region = id(n)}, w, &rsp,
			      &detail),
		 GVM_OK);
	writer_end(w);
	return rsp;
}

static inline uint16_t resize_in_order(unsigned n, uint64_t epoch, uint64_t chunks, uint64_t reserve, uint64_t order)
{
	return regions_resize(&regions,
			      &(struct gvm_region_resize_req){.region = id(n),
							      .epoch = epoch,
							      .chunks = chunks,
							      .reserve_chunks = reserve,
							      .order = order},
			      &detail);
}

static inline uint16_t resize(unsigned n, uint64_t epoch, uint64_t chunks, uint64_t reserve)
{
	return resize_in_order(n, epoch, chunks, reserve, 0);
}

static inline uint16_t put_what(unsigned n, uint64_t epoch, uint64_t chunk, uint64_t version, uint64_t base,
			 const uint8_t *data, uint32_t blocks, unsigned shift)
{
	struct gvm_put_req what = {
		.region = id(n), .epoch = epoch, .chunk = chunk, .version = version, .base = base};
	struct gvm_id region = id(n);
	struct chunk_head head;

	chunk_encode(codec, data, blocks, chunk_zero_pages(data), shift, &region, chunk, &head, body);
	return regions_put(&regions, &what, &head, body, &detail);
}

static inline uint16_t put(unsigned n, uint64_t chunk, uint64_t version, const uint8_t *data)
{
	return put_what(n, gvm_version_epoch(version), chunk, version, 0, data, ~0u, 1);
}

static inline uint16_t get(unsigned n, uint64_t epoch, uint64_t chunk, uint64_t version,
		    struct region_found *found)
{
	struct gvm_get_req what = {.region = id(n),
				   .epoch = epoch,
				   .chunk = chunk,
				   .version = version,
				   .page_mask = ~0u,
				   .want_page = GVM_NO_PAGE};

	return regions_get(&regions, &what, found, &detail);
}

static inline void check_content(unsigned n, uint64_t chunk, const uint8_t *data)
{
	static uint8_t got[GVM_CHUNK_BYTES];
	struct gvm_id region = id(n);
	struct region_found found;
	uint32_t valid;

	CHECK_EQ(get(n, 0, chunk, 0, &found), GVM_OK);
	if (found.cell != STORE_NONE)
		store_copy(store, found.cell, found.head_bytes, body, found.head.body_bytes);
	CHECK(!chunk_decode(codec, &found.head, body, &region, chunk, ~0u, got, &valid));
	CHECK_EQ(valid, ~0u);
	CHECK_MEM(got, data, GVM_CHUNK_BYTES);
}

static inline uint16_t discard_in_order(unsigned n, uint64_t epoch, uint64_t first, uint64_t count, uint64_t version,
					uint64_t order)
{
	return regions_discard(&regions,
			       &(struct gvm_discard_req){.region = id(n),
							 .epoch = epoch,
							 .first = first,
							 .count = count,
							 .version = version,
							 .order = order},
			       &detail);
}

static inline uint16_t discard(unsigned n, uint64_t epoch, uint64_t first, uint64_t count, uint64_t version)
{
	return discard_in_order(n, epoch, first, count, version, 0);
}

static uint8_t noise[4][GVM_CHUNK_BYTES], text[GVM_CHUNK_BYTES];

static inline void data_fill(void)
{
	for (unsigned i = 0; i < 4; i++)
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			page_fill(noise[i] + p * GVM_PAGE_BYTES, PAGE_RANDOM);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(text + p * GVM_PAGE_BYTES, PAGE_TEXT);
}

static inline int rig_run(int argc, char **argv, const struct check_test *tests, size_t count)
{
	codec = chunk_codec_create();
	CHECK(codec);
	data_fill();
	return check_run(argc, argv, tests, count);
}

#endif
