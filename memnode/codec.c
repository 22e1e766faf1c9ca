// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * codec.c - encodes and decodes chunks (their heads: chunk_head.c).
 *
 * A block's lz4 input is its pages that are not zero, end to end. They usually stand end to end in
 * the chunk too, and are then compressed from and decompressed to their place; only a block with a
 * zero page between two others goes through the scratch buffer.
 *
 * Every length used for reading or writing comes from a head that chunk_head_unpack() accepted or
 * chunk_encode() made; lz4 gets the exact room of each block, so that a corrupt body can spoil only
 * pages of its own block.
 */
#include "codec.h"

#include "page_run.h"
#include "xxh.h"

#include <assert.h>
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

/* lz4's acceleration: CODEC.md has what a greater one would gain and cost. */
#ifndef CODEC_ACCELERATION
#define CODEC_ACCELERATION 1
#endif
#define BLOCK_BYTES_MAX (GVM_PAGE_BYTES << CHUNK_BLOCK_SHIFT_MAX)

struct chunk_codec {
	uint8_t scratch[BLOCK_BYTES_MAX];
	LZ4_stream_t lz4;
};

struct chunk_codec *chunk_codec_create(void)
{
	return calloc(1, sizeof(struct chunk_codec));
}

void chunk_codec_destroy(struct chunk_codec *c)
{
	free(c);
}

static uint32_t blocks_all(unsigned shift)
{
	return (uint32_t)((1ull << (CHUNK_BLOCKS_MAX >> shift)) - 1);
}

static uint32_t pages_bytes(uint32_t pages)
{
	return (uint32_t)__builtin_popcount(pages) * GVM_PAGE_BYTES;
}

/* ---- hashes ---- */

uint64_t chunk_block_seed(const struct gvm_id *region, uint64_t chunk, unsigned shift, unsigned b)
{
	uint8_t place[sizeof(region->b) + 8];

	memcpy(place, region->b, sizeof(region->b));
	gvm_store_le(place + sizeof(region->b), chunk * GVM_CHUNK_PAGES + (b << shift), 8);
	return XXH3_64bits(place, sizeof(place));
}

/*
 * The seed is bent by what the head alone says about the block, so that a body under a head that
 * puts its pages elsewhere in the block does not verify either.
 */
static uint64_t stored_hash(const struct chunk_head *h, unsigned b, const struct chunk_block *k, const uint8_t *bytes,
			    const struct gvm_id *region, uint64_t chunk)
{
	uint64_t seed = chunk_block_seed(region, chunk, h->block_shift, b);
	uint32_t shape = chunk_block_shape(h, b);

	if (k->raw)
		shape |= 1u << 8;
	return XXH3_64bits_withSeed(bytes, k->bytes, seed ^ shape);
}

static uint64_t block_hash(const struct chunk_head *h, unsigned b, const uint8_t *bytes,
			   const struct gvm_id *region, uint64_t chunk)
{
	return stored_hash(h, b, &h->block[b], bytes, region, chunk);
}

int chunk_verify(const struct chunk_head *h, const uint8_t *body, const struct gvm_id *region,
		 uint64_t chunk)
{
	if (h->sealed)
		return -EBADMSG;
	for (uint32_t m = h->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);

		if (block_hash(h, b, body, region, chunk) != h->block[b].hash)
			return -EBADMSG;
		body += h->block[b].bytes;
	}
	return 0;
}

/* Where a plain chunk belongs. */
struct place {
	const struct gvm_id *region;
	uint64_t chunk;
};

static int block_finish(void *arg, struct chunk_head *h, unsigned b, uint8_t *bytes)
{
	const struct place *place = arg;

	h->block[b].hash = block_hash(h, b, bytes, place->region, place->chunk);
	return 0;
}

static const uint8_t *block_take(void *arg, const struct chunk_head *h, unsigned b, const uint8_t *bytes)
{
	const struct place *place = arg;

	return block_hash(h, b, bytes, place->region, place->chunk) == h->block[b].hash ? bytes : NULL;
}

/* ---- encoding ---- */

/* Compared a cache line at a time; most pages that are not zero show it in the first. */
bool page_is_zero(const uint8_t *p)
{
	for (const uint8_t *end = p + GVM_PAGE_BYTES; p < end; p += 64) {
		uint64_t w[8];

		memcpy(w, p, sizeof(w));
		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			return false;
	}
	return true;
}

static uint32_t pages_find_zero(const uint8_t *chunk_data, uint32_t pages)
{
	uint32_t zero = 0;

	for (; pages; pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);

		if (page_is_zero(chunk_data + p * GVM_PAGE_BYTES))
			zero |= 1u << p;
	}
	return zero;
}

/* Returns the pages' bytes end to end: at their place, or gathered in the scratch buffer. */
static const uint8_t *pages_gather(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t pages)
{
	uint8_t *to = c->scratch;

	if (page_run_is(pages))
		return chunk_data + (unsigned)__builtin_ctz(pages) * GVM_PAGE_BYTES;
	for (; pages; pages &= pages - 1, to += GVM_PAGE_BYTES)
		memcpy(to, chunk_data + (unsigned)__builtin_ctz(pages) * GVM_PAGE_BYTES,
		       GVM_PAGE_BYTES);
	return c->scratch;
}

/* Returns the bytes at `to`, as many as it was given if they are the same: raw. A saving of less than 1/32 is not
 * worth the reader's decompression, and lz4 gives up as soon as it sees that it cannot get there. */
static uint32_t bytes_pack(struct chunk_codec *c, const uint8_t *from, uint32_t bytes, uint8_t *to)
{
	int packed = LZ4_compress_fast_extState(&c->lz4, (const char *)from, (char *)to, (int)bytes,
						(int)(bytes - bytes / 32), CODEC_ACCELERATION);

	if (packed > 0)
		return (uint32_t)packed;
	memcpy(to, from, bytes);
	return bytes;
}

/* All of a head but its blocks' entries and the body's length. */
static void head_begin(struct chunk_head *head, const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map, unsigned shift)
{
	uint32_t pages;

	blocks &= blocks_all(shift);
	pages = chunk_pages_of_blocks(shift, blocks);
	head->zero_map = (zero_map & ~pages) | pages_find_zero(chunk_data, pages);
	head->block_mask = blocks & chunk_blocks_complete(shift, head->zero_map);
	head->block_shift = (uint8_t)shift;
	head->sealed = false;
}

int chunk_encode_with(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks,
		      uint32_t zero_map, unsigned shift, chunk_finish_fn *finish, void *arg,
		      struct chunk_head *head, uint8_t *body)
{
	uint8_t *to = body;

	head_begin(head, chunk_data, blocks, zero_map, shift);
	for (uint32_t m = head->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct chunk_block *k = &head->block[b];
		uint32_t held = chunk_block_held(head, b);
		uint32_t bytes = pages_bytes(held);
		int err;

		k->bytes = bytes_pack(c, pages_gather(c, chunk_data, held), bytes, to);
		k->raw = k->bytes == bytes;
		err = finish(arg, head, b, to);
		if (err)
			return err;
		to += k->bytes;
	}
	head->body_bytes = (uint32_t)(to - body);
	return 0;
}

void chunk_encode(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks,
		  uint32_t zero_map, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		  struct chunk_head *head, uint8_t *body)
{
	const struct place place = {region, chunk};

	chunk_encode_with(c, chunk_data, blocks, zero_map, shift, block_finish, (void *)&place, head, body);
}

const uint8_t *chunk_encode_raw(const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map, unsigned shift,
				const struct gvm_id *region, uint64_t chunk, struct chunk_head *head, uint8_t *body)
{
	uint32_t held, at = 0;

	head_begin(head, chunk_data, blocks, zero_map, shift);
	held = chunk_pages_of_blocks(shift, head->block_mask) & ~head->zero_map;
	head->body_bytes = pages_bytes(held);
	if (held && page_run_is(held))
		body = (uint8_t *)(uintptr_t)chunk_data + (unsigned)__builtin_ctz(held) * GVM_PAGE_BYTES;
	else
		for (uint8_t *to = body; held; held &= held - 1, to += GVM_PAGE_BYTES)
			memcpy(to, chunk_data + (unsigned)__builtin_ctz(held) * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	for (uint32_t m = head->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct chunk_block *k = &head->block[b];

		k->bytes = pages_bytes(chunk_block_held(head, b));
		k->raw = true;
		k->hash = block_hash(head, b, body + at, region, chunk);
		at += k->bytes;
	}
	return body;
}

void chunk_block_pack(struct chunk_codec *c, const struct chunk_head *head, unsigned b, const uint8_t *bytes,
		      const struct gvm_id *region, uint64_t chunk, struct chunk_block *packed, uint8_t *to)
{
	const struct chunk_block *k = &head->block[b];

	assert(k->raw);
	*packed = (struct chunk_block){.bytes = bytes_pack(c, bytes, k->bytes, to)};
	packed->raw = packed->bytes == k->bytes;
	packed->hash = stored_hash(head, b, packed, to, region, chunk);
}

int chunk_encode_lost_with(uint32_t blocks, unsigned shift, chunk_finish_fn *finish, void *arg,
			   struct chunk_head *head, uint8_t *body)
{
	head->zero_map = ~chunk_pages_of_blocks(shift, blocks);
	head->block_mask = blocks;
	head->block_shift = (uint8_t)shift;
	head->sealed = false;
	head->body_bytes = 0;
	for (uint32_t m = blocks; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		uint8_t *to = body + head->body_bytes;
		int err;

		head->block[b].raw = false;
		head->block[b].bytes = CHUNK_LOST_BYTES;
		memset(to, 0, CHUNK_LOST_BYTES);
		err = finish(arg, head, b, to);
		if (err)
			return err;
		head->body_bytes += CHUNK_LOST_BYTES;
	}
	return 0;
}

void chunk_encode_lost(uint32_t blocks, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		       struct chunk_head *head, uint8_t *body)
{
	const struct place place = {region, chunk};

	chunk_encode_lost_with(blocks, shift, block_finish, (void *)&place, head, body);
}

/* ---- decoding ---- */

static int block_decode(struct chunk_codec *c, const struct chunk_block *k, const uint8_t *from,
			uint32_t held, uint8_t *chunk_data)
{
	uint32_t bytes = pages_bytes(held);
	uint8_t *place = chunk_data + (unsigned)__builtin_ctz(held) * GVM_PAGE_BYTES;
	bool adjacent = page_run_is(held);

	if (!k->raw) {
		uint8_t *to = adjacent ? place : c->scratch;

		if (LZ4_decompress_safe((const char *)from, (char *)to, (int)k->bytes,
					(int)bytes) != (int)bytes)
			return -EBADMSG;
		from = to;
	} else if (adjacent) {
		memcpy(place, from, bytes);
	}
	if (!adjacent)
		for (; held; held &= held - 1, from += GVM_PAGE_BYTES)
			memcpy(chunk_data + (unsigned)__builtin_ctz(held) * GVM_PAGE_BYTES, from,
			       GVM_PAGE_BYTES);
	return 0;
}

int chunk_decode_with(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
		      chunk_take_fn *take, void *arg, uint32_t zero_pages, uint8_t *chunk_data,
		      uint32_t *valid)
{
	uint32_t listed = chunk_pages_of_blocks(head->block_shift, head->block_mask);
	uint32_t zero = head->zero_map & (listed | zero_pages), lost = 0;

	for (uint32_t m = head->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		const struct chunk_block *k = &head->block[b];
		const uint8_t *bytes = take(arg, head, b, body);

		if (!bytes)
			return -EBADMSG;
		if (chunk_block_is_lost(k))
			lost |= chunk_block_pages(head->block_shift, b);
		else if (block_decode(c, k, bytes, chunk_block_held(head, b), chunk_data))
			return -EBADMSG;
		body += k->bytes;
	}
	zero &= ~lost;
	*valid = (listed & ~lost) | zero;
	for (; zero; zero &= zero - 1)
		memset(chunk_data + (unsigned)__builtin_ctz(zero) * GVM_PAGE_BYTES, 0,
		       GVM_PAGE_BYTES);
	return lost ? -ENODATA : 0;
}

int chunk_decode(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
		 const struct gvm_id *region, uint64_t chunk, uint32_t zero_pages,
		 uint8_t *chunk_data, uint32_t *valid)
{
	const struct place place = {region, chunk};

	return head->sealed ? -EBADMSG :
			      chunk_decode_with(c, head, body, block_take, (void *)&place, zero_pages,
						chunk_data, valid);
}
