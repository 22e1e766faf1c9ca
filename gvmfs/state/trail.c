// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * trail.c - see trail.h. Steps are in the order in which chunks were touched first, in groups: within a group they are in
 * the order of the region, so that each costs little more than a byte.
 */
#include "trail.h"

#include "xxh.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC	    0x6c697274u /* "tril" */
#define FORMAT	    1u
#define HEAD_BYTES  20u /* magic, format, count: 4 bytes each; checksum of what follows: 8 */
#define GROUP	    256u
#define WINDOWS	    (GVM_CHUNK_PAGES / TRAIL_WINDOW_PAGES)
#define WINDOWS_ALL ((1u << WINDOWS) - 1)
#define STEP_BYTES  6u /* at most */
#define CHUNKS_MAX  (1u << 27)

uint32_t trail_windows(uint32_t pages)
{
	const uint32_t window = (1u << TRAIL_WINDOW_PAGES) - 1;
	uint32_t windows = 0;

	for (unsigned w = 0; w < WINDOWS; w++)
		windows |= (uint32_t)((pages >> w * TRAIL_WINDOW_PAGES & window) != 0) << w;
	return windows;
}

uint32_t trail_pages(uint32_t windows)
{
	const uint32_t window = (1u << TRAIL_WINDOW_PAGES) - 1;
	uint32_t pages = 0;

	for (unsigned w = 0; w < WINDOWS; w++)
		pages |= windows >> w & 1 ? window << w * TRAIL_WINDOW_PAGES : 0;
	return pages;
}

static int step_compare(const void *a, const void *b)
{
	const struct trail_step *x = a, *y = b;

	return (x->chunk > y->chunk) - (x->chunk < y->chunk);
}

static size_t varint_put(uint8_t *p, uint32_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		p[n++] = (uint8_t)(value | 0x80);
	p[n++] = (uint8_t)value;
	return n;
}

/* Returns the bytes that it took; 0: they are none. */
static size_t varint_get(const uint8_t *p, size_t bytes, uint32_t *value)
{
	uint64_t v = 0;

	for (size_t n = 0; n < bytes && n < 5; n++) {
		v |= (uint64_t)(p[n] & 0x7f) << 7 * n;
		if (p[n] & 0x80)
			continue;
		*value = (uint32_t)v;
		return v <= UINT32_MAX ? n + 1 : 0;
	}
	return 0;
}

size_t trail_pack(struct trail_step *steps, unsigned count, uint8_t *buf, size_t size)
{
	size_t at = HEAD_BYTES;
	unsigned packed = 0;

	assert(size >= HEAD_BYTES && count <= TRAIL_STEPS);
	for (unsigned i = 0; i < count && at + STEP_BYTES <= size; i++, packed++) {
		uint32_t before = i % GROUP ? steps[i - 1].chunk + 1 : 0;
		bool part;

		if (i % GROUP == 0)
			qsort(steps + i, count - i < GROUP ? count - i : GROUP, sizeof(*steps), step_compare);
		part = steps[i].windows != WINDOWS_ALL;
		assert(steps[i].chunk >= before && steps[i].chunk < CHUNKS_MAX && steps[i].windows &&
		       steps[i].windows <= WINDOWS_ALL);
		at += varint_put(buf + at, (steps[i].chunk - before) << 1 | part);
		if (part)
			buf[at++] = (uint8_t)steps[i].windows;
	}
	gvm_store_le(buf, MAGIC, 4);
	gvm_store_le(buf + 4, FORMAT, 4);
	gvm_store_le(buf + 8, packed, 4);
	gvm_store_le(buf + 12, XXH3_64bits_withSeed(buf + HEAD_BYTES, at - HEAD_BYTES, packed), 8);
	return at;
}

/* Reads a step; returns the bytes that it took, 0: it is none. */
static size_t step_get(const uint8_t *p, size_t bytes, uint32_t before, struct trail_step *step)
{
	uint32_t value;
	size_t n = varint_get(p, bytes, &value);

	if (!n || (value >> 1) >= CHUNKS_MAX - before)
		return 0;
	step->chunk = before + (value >> 1);
	step->windows = WINDOWS_ALL;
	if (!(value & 1))
		return n;
	if (n == bytes || !p[n])
		return 0;
	step->windows = p[n];
	return n + 1;
}

int trail_unpack(struct trail_step *steps, const uint8_t *buf, size_t bytes)
{
	size_t at = HEAD_BYTES;
	uint64_t count;

	if (bytes < HEAD_BYTES || gvm_load_le(buf, 4) != MAGIC || gvm_load_le(buf + 4, 4) != FORMAT)
		return -EBADMSG;
	count = gvm_load_le(buf + 8, 4);
	if (count > TRAIL_STEPS ||
	    gvm_load_le(buf + 12, 8) != XXH3_64bits_withSeed(buf + HEAD_BYTES, bytes - HEAD_BYTES, count))
		return -EBADMSG;
	for (unsigned i = 0; i < count; i++) {
		size_t n = step_get(buf + at, bytes - at, i % GROUP ? steps[i - 1].chunk + 1 : 0, &steps[i]);

		if (!n)
			return -EBADMSG;
		at += n;
	}
	return at == bytes ? (int)count : -EBADMSG;
}
