/* SPDX-License-Identifier: GPL-2.0-or-later */
/* codec_data.h - chunks to try the codec on, and the hash of a block computed a second way. */
#ifndef GVM_CODEC_DATA_H
#define GVM_CODEC_DATA_H

#include "check.h"
#include "memnode/codec.h"

#include <sys/mman.h>
#include <xxhash.h>

enum page_kind { PAGE_ZERO, PAGE_TEXT, PAGE_RANDOM, PAGE_LAST_BYTE, PAGE_MIXED, PAGE_KINDS };

static const struct gvm_id data_region = {
	{0x52, 0x45, 0x47, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}};

static inline void page_fill(uint8_t *p, enum page_kind kind)
{
	unsigned salt = check_random_below(1000);

	memset(p, 0, GVM_PAGE_BYTES);
	switch (kind) {
	case PAGE_TEXT:
		for (unsigned i = 0; i + 32 < GVM_PAGE_BYTES; i += 16)
			snprintf((char *)p + i, 32, "row %u of %u, ", i / 16, salt);
		break;
	case PAGE_RANDOM:
		for (unsigned i = 0; i < GVM_PAGE_BYTES; i += 8)
			gvm_store_le(p + i, check_random(), 8);
		break;
	case PAGE_LAST_BYTE: /* as near to a zero page as can be */
		p[GVM_PAGE_BYTES - 1] = (uint8_t)(1 + salt % 255);
		break;
	case PAGE_MIXED:
		for (unsigned i = 0; i < GVM_PAGE_BYTES; i += 16)
			gvm_store_le(p + i, check_random(), 8);
		break;
	default:
		break;
	}
}

static inline void chunk_fill_random(uint8_t *chunk)
{
	unsigned style = check_random_below(PAGE_KINDS + 2);

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(chunk + p * GVM_PAGE_BYTES,
			  style < PAGE_KINDS && check_random() & 16
				  ? (enum page_kind)style
				  : (enum page_kind)check_random_below(PAGE_KINDS));
}

static inline uint32_t random_mask(unsigned bits)
{
	uint32_t all = bits == 32 ? ~0u : (1u << bits) - 1, m = (uint32_t)(check_random() >> 20);

	switch (check_random_below(5)) {
	case 0:
		return all;
	case 1:
		return 1u << check_random_below(bits);
	case 2:
		return m & (uint32_t)(check_random() >> 20) & all;
	default:
		return m & all;
	}
}

/* A chunk's worth of whole pages of its own, whose access mprotect() can take away. */
static inline uint8_t *chunk_map(void)
{
	void *p = mmap(NULL, GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	CHECK(p != MAP_FAILED);
	return (uint8_t *)p;
}

/* Only `pages` may be touched from now on. */
static inline void chunk_allow(uint8_t *chunk, uint32_t pages)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		CHECK(!mprotect(chunk + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES,
				pages >> p & 1 ? PROT_READ | PROT_WRITE : PROT_NONE));
}

static inline uint32_t chunk_zero_pages(const uint8_t *chunk)
{
	static const uint8_t zero[GVM_PAGE_BYTES];
	uint32_t map = 0;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (!memcmp(chunk + p * GVM_PAGE_BYTES, zero, GVM_PAGE_BYTES))
			map |= 1u << p;
	return map;
}

/* The hash as PROTOCOL.md words it, written down apart from the codec. */
static inline uint64_t hash_by_the_book(const struct chunk_head *h, unsigned b, const void *bytes,
					const struct gvm_id *region, uint64_t chunk)
{
	unsigned pages = 1u << h->block_shift;
	uint64_t first = chunk * 32 + (uint64_t)b * pages;
	uint8_t place[24];
	uint64_t shape = 0;

	memcpy(place, region->b, 16);
	for (int i = 0; i < 8; i++)
		place[16 + i] = (uint8_t)(first >> (8 * i));
	for (unsigned i = 0; i < pages; i++)
		if (!(h->zero_map >> (b * pages + i) & 1))
			shape += 1u << i;
	if (h->block[b].raw)
		shape += 256;
	return XXH3_64bits_withSeed(bytes, h->block[b].bytes, XXH3_64bits(place, 24) ^ shape);
}

/* Compares what is defined of two heads. */
static inline void check_heads_equal(const struct chunk_head *a, const struct chunk_head *b)
{
	CHECK_EQ(a->zero_map, b->zero_map);
	CHECK_EQ(a->block_mask, b->block_mask);
	CHECK_EQ(a->body_bytes, b->body_bytes);
	CHECK_EQ(a->block_shift, b->block_shift);
	for (uint32_t m = a->block_mask; m; m &= m - 1) {
		int i = __builtin_ctz(m);

		CHECK_EQ(a->block[i].bytes, b->block[i].bytes);
		CHECK_EQ(a->block[i].raw, b->block[i].raw);
		CHECK_EQ(a->block[i].hash, b->block[i].hash);
	}
}

#endif
