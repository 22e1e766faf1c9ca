// SPDX-License-Identifier: GPL-2.0-or-later
/* codec_corrupt.c - nothing that was changed, moved or made up passes for a guest's memory. */
#include "codec_data.h"

#include <errno.h>
#include <lz4.h>

static struct chunk_codec *codec;
static uint8_t *chunk, body[GVM_CHUNK_BYTES], out[GVM_CHUNK_BYTES];

/* A chunk with every sort of block: zero, raw, compressed, with holes; few bytes of body. */
static void chunk_make(unsigned shift, struct chunk_head *h)
{
	if (!codec) {
		codec = chunk_codec_create();
		chunk = chunk_map();
	}
	memset(chunk, 0, GVM_CHUNK_BYTES);
	page_fill(chunk + 0 * GVM_PAGE_BYTES, PAGE_TEXT);
	page_fill(chunk + 2 * GVM_PAGE_BYTES, PAGE_LAST_BYTE);
	page_fill(chunk + 8 * GVM_PAGE_BYTES, PAGE_RANDOM);
	page_fill(chunk + 17 * GVM_PAGE_BYTES, PAGE_LAST_BYTE);
	page_fill(chunk + 18 * GVM_PAGE_BYTES, PAGE_LAST_BYTE);
	page_fill(chunk + 31 * GVM_PAGE_BYTES, PAGE_TEXT);
	chunk_encode(codec, chunk, ~0u, 0, shift, &data_region, 5, h, body);
	CHECK_EQ(chunk_verify(h, body, &data_region, 5), 0);
}

static int decode(const struct chunk_head *h, const struct gvm_id *region, uint64_t place)
{
	uint32_t valid;

	return chunk_decode(codec, h, body, region, place, 0, out, &valid);
}

static bool refused(const struct chunk_head *h, const struct gvm_id *region, uint64_t place)
{
	int verified = chunk_verify(h, body, region, place);

	CHECK(verified == 0 || verified == -EBADMSG);
	CHECK_EQ(decode(h, region, place), verified);
	return verified == -EBADMSG;
}

static void each_flipped_body_byte_is_seen(void)
{
	struct chunk_head h;

	for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
		chunk_make(shift, &h);
		for (uint32_t i = 0; i < h.body_bytes; i++) {
			uint8_t was = body[i];

			body[i] ^= (uint8_t)(1u << (i % 8));
			CHECK(refused(&h, &data_region, 5));
			body[i] = was;
		}
		CHECK(!refused(&h, &data_region, 5));
	}
}

static void each_flipped_head_bit_is_seen(void)
{
	uint8_t packed[CHUNK_HEAD_MAX];
	struct chunk_head h, bad;
	size_t len;

	for (unsigned shift = 0; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
		chunk_make(shift, &h);
		len = chunk_head_pack(&h, packed);
		for (size_t bit = 0; bit < len * 8; bit++) {
			packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
			/* A complete chunk lists each block that is not zero; nothing else can tell
			 * that a zero bit of a block without a body was flipped. */
			CHECK(chunk_head_unpack(&bad, packed, len) == -EBADMSG ||
			      bad.block_mask != chunk_blocks_complete(shift, bad.zero_map) ||
			      refused(&bad, &data_region, 5));
			packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		CHECK_EQ(chunk_head_unpack(&bad, packed, len), 0);
	}
}

static void block_elsewhere_does_not_verify(void)
{
	struct gvm_id other = data_region;
	struct chunk_head h, moved;

	chunk_make(0, &h);
	CHECK(refused(&h, &data_region, 4));
	CHECK(refused(&h, &data_region, 5 + (1ull << 32)));
	for (unsigned i = 0; i < sizeof(other.b) * 8; i++) {
		other.b[i / 8] ^= (uint8_t)(1u << i % 8);
		CHECK(refused(&h, &other, 5));
		other.b[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	/* Pages 17 and 18 hold the same sort of bytes in bodies of the same length: swap them. */
	CHECK_EQ(h.block[17].bytes, h.block[18].bytes);
	memcpy(chunk + 18 * GVM_PAGE_BYTES, chunk + 17 * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	chunk_encode(codec, chunk, ~0u, 0, 0, &data_region, 5, &h, body);
	CHECK(!refused(&h, &data_region, 5));
	moved = h;
	moved.block[17].hash = h.block[18].hash;
	moved.block[18].hash = h.block[17].hash;
	CHECK(refused(&moved, &data_region, 5));
	/* One page that says it is another of its block. */
	for (unsigned shift = 1; shift <= CHUNK_BLOCK_SHIFT_MAX; shift++) {
		chunk_make(shift, &h);
		h.zero_map ^= 3; /* page 0 holds text, page 1 is zero: now the other way around */
		CHECK(refused(&h, &data_region, 5));
	}
}

/* A head of one compressed block, with the right hash over any bytes. */
static void head_of(struct chunk_head *h, unsigned shift, uint32_t zero_map, uint32_t bytes)
{
	memset(h, 0, sizeof(*h));
	h->zero_map = zero_map;
	h->block_shift = (uint8_t)shift;
	h->block_mask = 1;
	h->body_bytes = bytes;
	h->block[0].bytes = bytes;
	h->block[0].hash = hash_by_the_book(h, 0, body, &data_region, 5);
}

static void body_of_another_size_is_refused_and_stays_in_its_pages(void)
{
	struct chunk_head h;
	static const unsigned pages[] = {1, 3, 4, 5, 8};

	chunk_make(0, &h);
	for (unsigned i = 0; i < 5; i++) {
		int bytes;

		for (unsigned p = 0; p < 8; p++)
			page_fill(chunk + p * GVM_PAGE_BYTES, PAGE_TEXT);
		bytes = LZ4_compress_default((const char *)chunk, (char *)body,
					     (int)(pages[i] * GVM_PAGE_BYTES), sizeof(body));
		CHECK(bytes > 0);
		/* a block of four pages, end to end and around a hole */
		memset(out, 0xa5, sizeof(out));
		head_of(&h, 2, 0xfffffff0, (uint32_t)bytes);
		CHECK_EQ(decode(&h, &data_region, 5), pages[i] == 4 ? 0 : -EBADMSG);
		head_of(&h, 2, 0xfffffff4, (uint32_t)bytes);
		CHECK_EQ(decode(&h, &data_region, 5), pages[i] == 3 ? 0 : -EBADMSG);
		for (uint32_t at = 4 * GVM_PAGE_BYTES; at < sizeof(out); at++)
			CHECK_EQ(out[at], 0xa5);
	}
}

static void garbage_with_a_right_hash_is_refused_or_stays_in_its_pages(void)
{
	struct chunk_head h;

	chunk_make(0, &h);
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t bytes = 1 + check_random_below(300);
		int ret;

		for (uint32_t i = 0; i < bytes; i++)
			body[i] = (uint8_t)check_random_below(round % 2 ? 256 : 32);
		memset(out + GVM_PAGE_BYTES, 0xa5, GVM_PAGE_BYTES);
		head_of(&h, 0, 0xfffffffe, bytes);
		ret = decode(&h, &data_region, 5);
		CHECK(ret == 0 || ret == (bytes == CHUNK_LOST_BYTES ? -ENODATA : -EBADMSG));
		for (uint32_t i = 0; i < GVM_PAGE_BYTES; i++)
			CHECK_EQ(out[GVM_PAGE_BYTES + i], 0xa5);
	}
}

/* ---- chunk_head_unpack ---- */

static uint8_t packed[CHUNK_HEAD_MAX + 1];
static size_t packed_len;

static void head_refused(void)
{
	struct chunk_head h;
	uint8_t *exact = malloc(packed_len + !packed_len);

	CHECK(exact);
	memcpy(exact, packed, packed_len);
	CHECK_EQ(chunk_head_unpack(&h, exact, packed_len), -EBADMSG);
	free(exact);
}

/* Changes one field, expects the head to be refused, and puts the field back. */
static void field_refused(unsigned at, unsigned bytes, uint64_t value)
{
	uint64_t was = gvm_load_le(packed + at, bytes);

	CHECK(was != value);
	gvm_store_le(packed + at, value, bytes);
	head_refused();
	gvm_store_le(packed + at, was, bytes);
}

static void head_with_a_wrong_field_is_refused(void)
{
	struct chunk_head h;
	uint32_t listed, entry;
	unsigned at;

	chunk_make(1, &h);
	packed_len = chunk_head_pack(&h, packed);
	listed = h.block_mask;
	field_refused(4, 1, 0);
	field_refused(4, 1, 2);
	field_refused(4, 1, 4);
	field_refused(4, 1, 255);
	field_refused(5, 1, 1);
	field_refused(6, 2, 0);
	field_refused(6, 2, (unsigned)__builtin_popcount(listed) + 1);
	field_refused(6, 2, 0xffff);
	field_refused(8, 4, listed | 4);	/* a block of zero pages */
	field_refused(8, 4, listed | 1u << 16); /* no such block */
	field_refused(8, 4, listed << 16 | listed);
	field_refused(8, 4, (listed & ~1u) | 4); /* as many, but one of them zero */
	field_refused(8, 4, 0);
	field_refused(12, 4, h.body_bytes + 1);
	field_refused(12, 4, h.body_bytes - 1);
	field_refused(12, 4, 0);
	field_refused(0, 4, ~0u);
	at = CHUNK_PLAIN_HEAD_BYTES(0);
	for (uint32_t m = listed; m; m &= m - 1, at += 12) {
		entry = (uint32_t)gvm_load_le(packed + at, 4);
		field_refused(at, 4, 0);
		field_refused(at, 4, 1u << 31);
		field_refused(at, 4, entry ^ 1u << 31);
		field_refused(at, 4, entry + 1);
		field_refused(at, 4, entry | 0x7fffffff);
		field_refused(at, 4, entry | 1u << 30);
	}
	for (size_t len = 0; len < packed_len; len++) {
		size_t whole = packed_len;

		packed_len = len;
		head_refused();
		packed_len = whole;
	}
	packed_len++;
	head_refused();
	packed_len--;
	CHECK_EQ(chunk_head_unpack(&h, packed, packed_len), 0);
}

static void lengths_that_wrap_around_are_refused(void)
{
	struct chunk_head h;

	memset(&h, 0, sizeof(h));
	h.zero_map = 0xfffffffc; /* two pages, two blocks */
	h.block_mask = 3;
	h.block[0].bytes = 0x7fffffff;
	h.block[1].bytes = 0x7fffffff;
	h.body_bytes = 0xfffffffe;
	packed_len = chunk_head_pack(&h, packed);
	head_refused();
	h.block[0].bytes = h.block[1].bytes = GVM_PAGE_BYTES;
	h.body_bytes = 2 * GVM_PAGE_BYTES;
	packed_len = chunk_head_pack(&h, packed);
	head_refused(); /* as long as the page, but not said to be raw */
	h.block[0].raw = h.block[1].raw = true;
	packed_len = chunk_head_pack(&h, packed);
	CHECK_EQ(chunk_head_unpack(&h, packed, packed_len), 0);
}

static const struct check_test tests[] = {
	{"each-flipped-body-byte-is-seen", each_flipped_body_byte_is_seen},
	{"each-flipped-head-bit-is-seen", each_flipped_head_bit_is_seen},
	{"block-elsewhere-does-not-verify", block_elsewhere_does_not_verify},
	{"body-of-another-size-is-refused", body_of_another_size_is_refused_and_stays_in_its_pages},
	{"garbage-stays-in-its-pages", garbage_with_a_right_hash_is_refused_or_stays_in_its_pages},
	{"head-with-a-wrong-field-is-refused", head_with_a_wrong_field_is_refused},
	{"lengths-that-wrap-around-are-refused", lengths_that_wrap_around_are_refused},
};
CHECK_MAIN(tests)
