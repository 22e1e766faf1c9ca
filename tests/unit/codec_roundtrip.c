// SPDX-License-Identifier: GPL-2.0-or-later
/* codec_roundtrip.c - what is encoded comes back, and nothing else is read or written. */
#include "codec_data.h"

#define FILLER 0xa5

/*
 * Encodes `blocks` of `chunk`, packs and unpacks the head, and decodes into pages filled with
 * FILLER. Pages that encoder and decoder must not touch are made inaccessible meanwhile.
 */
static void round_trip(uint8_t *chunk, uint32_t blocks, uint32_t other_zero, unsigned shift,
		       uint32_t zero_pages)
{
	uint32_t pages = chunk_pages_of_blocks(shift, blocks), zero = chunk_zero_pages(chunk);
	uint32_t zero_map = (zero & pages) | (other_zero & ~pages);
	uint32_t want_valid, valid = 0;
	uint64_t place = check_random() >> 20;
	struct chunk_codec *c = chunk_codec_create();
	uint8_t *body = malloc(GVM_CHUNK_BYTES), *out = chunk_map(), *packed, *exact;
	struct chunk_head made, head;
	size_t len;

	CHECK(c && body);
	chunk_allow(chunk, pages);
	chunk_encode(c, chunk, blocks, other_zero, shift, &data_region, place, &made, body);
	chunk_allow(chunk, ~0u);
	CHECK_EQ(made.zero_map, zero_map);
	CHECK_EQ(made.block_mask, blocks & chunk_blocks_complete(shift, zero_map));

	/* Buffers of the exact sizes, for the sanitizer to guard. */
	packed = malloc(CHUNK_PLAIN_HEAD_BYTES((unsigned)__builtin_popcount(made.block_mask)));
	exact = malloc(made.body_bytes + !made.body_bytes);
	CHECK(packed && exact);
	len = chunk_head_pack(&made, packed);
	CHECK_EQ(len, CHUNK_PLAIN_HEAD_BYTES((unsigned)__builtin_popcount(made.block_mask)));
	memcpy(exact, body, made.body_bytes);
	CHECK_EQ(chunk_head_unpack(&head, packed, len), 0);
	check_heads_equal(&head, &made);
	for (uint32_t m = head.block_mask, at = 0; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);

		CHECK_EQ(head.block[b].hash,
			 hash_by_the_book(&head, b, exact + at, &data_region, place));
		at += head.block[b].bytes;
	}
	CHECK_EQ(chunk_verify(&head, exact, &data_region, place), 0);

	want_valid = chunk_pages_of_blocks(shift, head.block_mask) | (zero_map & zero_pages);
	memset(out, FILLER, GVM_CHUNK_BYTES);
	chunk_allow(out, want_valid);
	CHECK_EQ(chunk_decode(c, &head, exact, &data_region, place, zero_pages, out, &valid), 0);
	chunk_allow(out, ~0u);
	CHECK_EQ(valid, want_valid);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint8_t want[GVM_PAGE_BYTES];

		if (!(valid >> p & 1))
			memset(want, FILLER, sizeof(want));
		else if (zero_map >> p & 1)
			memset(want, 0, sizeof(want));
		else
			memcpy(want, chunk + p * GVM_PAGE_BYTES, sizeof(want));
		CHECK_MEM(out + p * GVM_PAGE_BYTES, want, sizeof(want));
	}
	CHECK(!munmap(out, GVM_CHUNK_BYTES));
	chunk_codec_destroy(c);
	free(body);
	free(packed);
	free(exact);
}

static void any_chunk_comes_back(void)
{
	uint8_t *chunk = chunk_map();

	for (unsigned i = 0; i < 400; i++) {
		unsigned shift = i % 4;

		chunk_fill_random(chunk);
		round_trip(chunk, random_mask(32u >> shift), random_mask(32), shift,
			   random_mask(32));
	}
	munmap(chunk, GVM_CHUNK_BYTES);
}

static void every_pattern_of_zero_pages_in_a_block_comes_back(void)
{
	static const enum page_kind kinds[] = {PAGE_TEXT, PAGE_RANDOM, PAGE_LAST_BYTE};
	uint8_t *chunk = chunk_map();

	for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++)
		for (unsigned zero = 0; zero < 1u << (1u << shift); zero++) {
			unsigned b = check_random_below(32u >> shift);

			memset(chunk, 0, GVM_CHUNK_BYTES);
			for (unsigned p = 0; p < 1u << shift; p++)
				if (!(zero >> p & 1))
					page_fill(chunk + ((b << shift) + p) * GVM_PAGE_BYTES,
						  kinds[zero % 3]);
			round_trip(chunk, 1u << b, 0, shift, 0);
		}
	munmap(chunk, GVM_CHUNK_BYTES);
}

static void chunk_of_one_kind_comes_back(void)
{
	uint8_t *chunk = chunk_map();

	for (unsigned kind = 0; kind < PAGE_KINDS; kind++)
		for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
			for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
				page_fill(chunk + p * GVM_PAGE_BYTES, (enum page_kind)kind);
			round_trip(chunk, ~0u, 0, shift, ~0u);
		}
	munmap(chunk, GVM_CHUNK_BYTES);
}

static void random_pages_do_not_grow(void)
{
	struct chunk_codec *c = chunk_codec_create();
	uint8_t *chunk = chunk_map(), *body = malloc(GVM_CHUNK_BYTES);
	struct chunk_head h;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(chunk + p * GVM_PAGE_BYTES, PAGE_RANDOM);
	for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
		chunk_encode(c, chunk, ~0u, 0, shift, &data_region, 7, &h, body);
		CHECK_EQ(h.body_bytes, GVM_CHUNK_BYTES);
		for (unsigned b = 0; b < 32u >> shift; b++)
			CHECK(h.block[b].raw);
	}
	free(body);
	munmap(chunk, GVM_CHUNK_BYTES);
	chunk_codec_destroy(c);
}

static void text_pages_shrink(void)
{
	struct chunk_codec *c = chunk_codec_create();
	uint8_t *chunk = chunk_map(), *body = malloc(GVM_CHUNK_BYTES);
	struct chunk_head h;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(chunk + p * GVM_PAGE_BYTES, PAGE_TEXT);
	for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
		chunk_encode(c, chunk, ~0u, 0, shift, &data_region, 7, &h, body);
		CHECK(h.body_bytes < GVM_CHUNK_BYTES / 2);
	}
	free(body);
	munmap(chunk, GVM_CHUNK_BYTES);
	chunk_codec_destroy(c);
}

/* Any single byte makes a page non-zero; an address of any alignment will do. */
static void one_byte_makes_a_page_nonzero(void)
{
	static uint8_t room[GVM_PAGE_BYTES + 64];

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t *p = room + shift;

		/* what stands around the page does not count */
		memset(room, 0xff, sizeof(room));
		memset(p, 0, GVM_PAGE_BYTES);
		CHECK(page_is_zero(p));
		for (unsigned i = 0; i < GVM_PAGE_BYTES; i++) {
			p[i] = 1u << i % 8;
			CHECK(!page_is_zero(p));
			p[i] = 0;
		}
	}
}

static void page_and_block_masks_agree(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		unsigned shift = i % 4, n = 1u << shift;
		uint32_t pages = random_mask(32), blocks = 0, back = 0;

		for (unsigned p = 0; p < 32; p++)
			if (pages >> p & 1)
				blocks |= 1u << p / n;
		for (unsigned p = 0; p < 32; p++)
			if (blocks >> p / n & 1)
				back |= 1u << p;
		CHECK_EQ(chunk_blocks_of_pages(shift, pages), blocks);
		CHECK_EQ(chunk_pages_of_blocks(shift, blocks), back);
		CHECK_EQ(chunk_blocks_complete(shift, ~pages), blocks);
	}
}

static const struct check_test tests[] = {
	{"any-chunk-comes-back", any_chunk_comes_back},
	{"every-pattern-of-zero-pages-comes-back",
	 every_pattern_of_zero_pages_in_a_block_comes_back},
	{"chunk-of-one-kind-comes-back", chunk_of_one_kind_comes_back},
	{"random-pages-do-not-grow", random_pages_do_not_grow},
	{"text-pages-shrink", text_pages_shrink},
	{"one-byte-makes-a-page-nonzero", one_byte_makes_a_page_nonzero},
	{"page-and-block-masks-agree", page_and_block_masks_agree},
};
CHECK_MAIN(tests)
