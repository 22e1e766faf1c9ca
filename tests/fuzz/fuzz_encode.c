// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_encode.c - any memory of a guest, encoded, comes back.
 *
 * Input: shift u8, blocks u32, zero pages u32, then a byte for each page and the bytes that fill
 * it: 0 none, 1..127 so many bytes repeated, 128.. so many at an odd place.
 *
 * fuzz-sources: memnode/codec.c memnode/chunk_head.c
 * fuzz-libs: -llz4 -lxxhash
 */
#include "fuzz.h"
#include "memnode/codec.h"

static const struct gvm_id region = {{9}};
static uint8_t chunk[GVM_CHUNK_BYTES], out[GVM_CHUNK_BYTES];

static void page_fill(struct fuzz_input *in, uint8_t *page)
{
	unsigned kind = (unsigned)fuzz_take(in, 1), bytes = kind & 127, at = 0;

	memset(page, 0, GVM_PAGE_BYTES);
	if (!bytes)
		return;
	if (kind & 128)
		at = (unsigned)fuzz_take(in, 2) % (GVM_PAGE_BYTES - bytes);
	for (unsigned i = 0; i < bytes; i++)
		page[at + i] = (uint8_t)fuzz_take(in, 1);
	for (unsigned i = bytes; !(kind & 128) && i < GVM_PAGE_BYTES; i++)
		page[i] = page[i - bytes];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chunk_codec *codec;
	struct fuzz_input in = {data, size};
	unsigned shift = (unsigned)fuzz_take(&in, 1) % (CHUNK_BLOCK_SHIFT_MAX + 1);
	uint32_t blocks = (uint32_t)fuzz_take(&in, 4), zero = (uint32_t)fuzz_take(&in, 4), valid;
	uint8_t packed[CHUNK_HEAD_MAX], *body = malloc(GVM_CHUNK_BYTES), *exact;
	struct chunk_head head, back;
	uint32_t pages;
	size_t len;

	if (!codec)
		codec = chunk_codec_create();
	FUZZ_CHECK(codec && body);
	blocks &= (uint32_t)((1ull << (32 >> shift)) - 1);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(&in, chunk + p * GVM_PAGE_BYTES);
	chunk_encode(codec, chunk, blocks, zero, shift, &region, 1, &head, body);
	len = chunk_head_pack(&head, packed);
	FUZZ_CHECK(!chunk_head_unpack(&back, packed, len));
	exact = malloc(head.body_bytes + !head.body_bytes);
	FUZZ_CHECK(exact && back.body_bytes == head.body_bytes);
	memcpy(exact, body, head.body_bytes);
	pages = chunk_pages_of_blocks(shift, blocks);
	FUZZ_CHECK((head.zero_map & ~pages) == (zero & ~pages));
	FUZZ_CHECK(!chunk_decode(codec, &back, exact, &region, 1, pages, out, &valid));
	FUZZ_CHECK((valid & pages) == pages);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			FUZZ_CHECK(!memcmp(out + p * GVM_PAGE_BYTES, chunk + p * GVM_PAGE_BYTES,
					   GVM_PAGE_BYTES));
	free(body);
	free(exact);
	return 0;
}
