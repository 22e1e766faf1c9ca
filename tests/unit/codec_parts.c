// SPDX-License-Identifier: GPL-2.0-or-later
/* codec_parts.c - parts of a chunk: cut out of a whole one, or put into it. */
#include "codec_data.h"

#include <errno.h>

static struct chunk_codec *codec;
static uint8_t *chunk, *old_chunk, body[GVM_CHUNK_BYTES], delta_body[GVM_CHUNK_BYTES],
	whole_body[GVM_CHUNK_BYTES], merged_body[GVM_CHUNK_BYTES];

static void setup(void)
{
	if (codec)
		return;
	codec = chunk_codec_create();
	chunk = chunk_map();
	old_chunk = chunk_map();
	CHECK(codec);
}

/* Where block b's bytes begin in the body of h. */
static uint32_t block_at(const struct chunk_head *h, unsigned b)
{
	uint32_t at = 0;

	for (uint32_t m = h->block_mask & ((1u << b) - 1); m; m &= m - 1)
		at += h->block[__builtin_ctz(m)].bytes;
	return at;
}

static void narrowed_head_is_that_of_the_part(void)
{
	unsigned adjacent_seen = 0, apart_seen = 0;

	setup();
	for (unsigned i = 0; i < 600; i++) {
		unsigned shift = i % 4;
		uint32_t blocks = random_mask(32u >> shift), from, bytes, kept, between;
		struct chunk_head h, part, whole;
		bool adjacent, got;

		chunk_fill_random(chunk);
		chunk_encode(codec, chunk, ~0u, 0, shift, &data_region, i, &h, body);
		if (i % 3 == 0) /* neighbours, so that both answers are seen */
			blocks &= 7u << check_random_below(32u >> shift);
		chunk_encode(codec, chunk, blocks, h.zero_map, shift, &data_region, i, &part,
			     delta_body);
		whole = h;
		got = chunk_head_narrow(&h, blocks, &from, &bytes);
		check_heads_equal(&h, &part);
		kept = h.block_mask;
		CHECK_EQ(bytes, h.body_bytes);
		adjacent = true;
		if (kept) {
			unsigned first = (unsigned)__builtin_ctz(kept);
			unsigned last = 31 - (unsigned)__builtin_clz(kept);

			between = (uint32_t)((2ull << last) - (1ull << first));
			adjacent = (whole.block_mask & between) == kept;
			if (adjacent)
				CHECK_EQ(from, block_at(&whole, first));
		}
		CHECK_EQ(got, adjacent);
		if (adjacent) {
			CHECK(from + bytes <= whole.body_bytes);
			CHECK_MEM(body + from, delta_body, bytes);
			CHECK_EQ(chunk_verify(&h, body + from, &data_region, i), 0);
		}
		adjacent_seen += adjacent;
		apart_seen += !adjacent;
	}
	CHECK(adjacent_seen > 50 && apart_seen > 50);
}

static void merge_bodies(const struct chunk_head *base, const uint8_t *base_body,
			 const struct chunk_head *delta, const struct chunk_head *out,
			 uint32_t from_base)
{
	uint32_t at = 0;

	for (uint32_t m = out->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		const uint8_t *from = from_base >> b & 1 ? base_body + block_at(base, b)
							 : delta_body + block_at(delta, b);

		memcpy(merged_body + at, from, out->block[b].bytes);
		at += out->block[b].bytes;
	}
	CHECK_EQ(at, out->body_bytes);
}

static void merge_equals_encoding_anew(void)
{
	setup();
	for (unsigned i = 0; i < 600; i++) {
		unsigned shift = i % 4;
		uint32_t changed = random_mask(32), blocks, from_base;
		struct chunk_head base, delta, merged, whole;

		chunk_fill_random(chunk);
		memcpy(old_chunk, chunk, GVM_CHUNK_BYTES);
		chunk_encode(codec, chunk, ~0u, 0, shift, &data_region, i, &base, body);
		for (uint32_t m = changed; m; m &= m - 1)
			page_fill(chunk + __builtin_ctz(m) * GVM_PAGE_BYTES,
				  (enum page_kind)check_random_below(PAGE_KINDS));
		/* Blocks that did not change may be sent too. */
		blocks = chunk_blocks_of_pages(shift, changed) |
			 (random_mask(32u >> shift) & random_mask(32u >> shift));
		/* The sender may or may not know the zero pages of the blocks that it leaves out.
		 */
		chunk_encode(codec, chunk, blocks, i & 4 ? base.zero_map : 0, shift, &data_region,
			     i, &delta, delta_body);
		CHECK_EQ(chunk_head_merge(&base, &delta, &merged, &from_base), 0);
		chunk_encode(codec, chunk, ~0u, 0, shift, &data_region, i, &whole, whole_body);
		check_heads_equal(&merged, &whole);
		CHECK_EQ(from_base & delta.block_mask, 0);
		merge_bodies(&base, body, &delta, &merged, from_base);
		CHECK_MEM(merged_body, whole_body, whole.body_bytes);
	}
}

static void merge_refuses_what_the_base_cannot_give(void)
{
	struct chunk_head base, delta, bad, out;
	uint32_t from_base, from, bytes;

	setup();
	for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			page_fill(chunk + p * GVM_PAGE_BYTES, PAGE_TEXT);
		memset(chunk + 31 * GVM_PAGE_BYTES, 0, GVM_PAGE_BYTES);
		chunk_encode(codec, chunk, ~0u, 0, shift, &data_region, 1, &base, body);
		chunk_encode(codec, chunk, 2, base.zero_map, shift, &data_region, 1, &delta,
			     delta_body);
		CHECK_EQ(chunk_head_merge(&base, &delta, &out, &from_base), 0);
		CHECK_EQ(from_base, base.block_mask & ~2u);

		bad = base;
		bad.block_shift ^= 1;
		CHECK_EQ(chunk_head_merge(&bad, &delta, &out, &from_base), -EINVAL);
		bad = base; /* a base that is not complete */
		chunk_head_narrow(&bad, ~1u, &from, &bytes);
		CHECK_EQ(chunk_head_merge(&bad, &delta, &out, &from_base), -EINVAL);
	}
}

static void zeroed_block_leaves_the_chunk(void)
{
	struct chunk_head base, delta, out;
	uint32_t from_base;

	setup();
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(chunk + p * GVM_PAGE_BYTES, PAGE_TEXT);
	chunk_encode(codec, chunk, ~0u, 0, 1, &data_region, 1, &base, body);
	memset(chunk + 4 * GVM_PAGE_BYTES, 0, 2 * GVM_PAGE_BYTES);
	chunk_encode(codec, chunk, 1u << 2, base.zero_map, 1, &data_region, 1, &delta, delta_body);
	CHECK_EQ(delta.block_mask, 0);
	CHECK_EQ(delta.body_bytes, 0);
	CHECK_EQ(chunk_head_merge(&base, &delta, &out, &from_base), 0);
	CHECK_EQ(out.block_mask, 0xfffb);
	CHECK_EQ(out.zero_map, 3u << 4);
	CHECK_EQ(out.body_bytes, base.body_bytes - base.block[2].bytes);
}

/* A node takes it for a chunk like others, a reader gets the rest of it, and what is written over it is there again. */
static void what_is_lost_is_an_error_and_nothing_else(void)
{
	setup();
	for (unsigned i = 0; i < 200; i++) {
		uint32_t lost = random_mask(32) | 1u, kept = ~lost, valid;
		struct chunk_head h, part, whole, again;
		uint8_t packed[CHUNK_HEAD_MAX];

		chunk_fill_random(chunk);
		chunk_encode_lost(lost, CHUNK_BLOCK_SHIFT, &data_region, i, &h, body);
		chunk_encode(codec, chunk, kept, 0, CHUNK_BLOCK_SHIFT, &data_region, i, &part, delta_body);
		CHECK_EQ(chunk_compose(&h, body, &part, delta_body, &whole, merged_body), 0);
		CHECK_EQ(chunk_head_unpack(&again, packed, chunk_head_pack(&whole, packed)), 0);
		check_heads_equal(&again, &whole);
		CHECK_EQ(chunk_verify(&whole, merged_body, &data_region, i), 0);
		memset(old_chunk, 0x5a, GVM_CHUNK_BYTES);
		CHECK_EQ(chunk_decode(codec, &whole, merged_body, &data_region, i, ~0u, old_chunk, &valid), -ENODATA);
		CHECK_EQ(valid, kept);
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			if (kept >> p & 1)
				CHECK_MEM(old_chunk + p * GVM_PAGE_BYTES, chunk + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
		chunk_encode(codec, chunk, lost, 0, CHUNK_BLOCK_SHIFT, &data_region, i, &part, delta_body);
		CHECK_EQ(chunk_compose(&whole, merged_body, &part, delta_body, &again, whole_body), 0);
		CHECK_EQ(chunk_decode(codec, &again, whole_body, &data_region, i, ~0u, old_chunk, &valid), 0);
		CHECK_MEM(old_chunk, chunk, GVM_CHUNK_BYTES);
	}
}

static const struct check_test tests[] = {
	{"narrowed-head-is-that-of-the-part", narrowed_head_is_that_of_the_part},
	{"merge-equals-encoding-anew", merge_equals_encoding_anew},
	{"merge-refuses-what-the-base-cannot-give", merge_refuses_what_the_base_cannot_give},
	{"zeroed-block-leaves-the-chunk", zeroed_block_leaves_the_chunk},
	{ "what-is-lost-is-an-error-and-nothing-else", what_is_lost_is_an_error_and_nothing_else },
};
CHECK_MAIN(tests)
