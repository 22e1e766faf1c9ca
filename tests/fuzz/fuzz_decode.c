// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_decode.c - a chunk head and body from a hostile peer.
 *
 * Input: flags u8, place u8, zero_pages u32, length of the head u16, the head, the body. With flag
 * 1 the listed blocks' hashes are made right, so that lz4 sees the body too; with flag 2 the head's
 * masks, counts and lengths, so that most inputs have a head at all.
 *
 * fuzz-sources: memnode/codec.c memnode/chunk_head.c
 * fuzz-libs: -llz4 -lxxhash
 */
#include "fuzz_chunk.h"

#include <sys/mman.h>

#define FILLER 0xa5

static const struct gvm_id region = {{9}};
static uint8_t chunk[GVM_CHUNK_BYTES];

/* Room that ends where nothing may be read: the lz4 library knows no sanitizer. */
static uint8_t *body_room(size_t bytes)
{
	static uint8_t *map;

	if (!map) {
		map = mmap(NULL, GVM_CHUNK_BYTES + GVM_PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		FUZZ_CHECK(map != MAP_FAILED);
		FUZZ_CHECK(!mprotect(map + GVM_CHUNK_BYTES, GVM_PAGE_BYTES, PROT_NONE));
	}
	memset(map + GVM_CHUNK_BYTES - bytes, 0, bytes);
	return map + GVM_CHUNK_BYTES - bytes;
}

static void pages_untouched(uint32_t pages)
{
	for (; pages; pages &= pages - 1)
		for (unsigned i = 0; i < GVM_PAGE_BYTES; i += 8) {
			uint64_t v = gvm_load_le(
				chunk + (unsigned)__builtin_ctz(pages) * GVM_PAGE_BYTES + i, 8);

			FUZZ_CHECK(v == 0xa5a5a5a5a5a5a5a5ull);
		}
}

static void head_parts(const struct chunk_head *head, uint32_t blocks)
{
	struct chunk_head part = *head, merged;
	uint32_t from, bytes, from_base;

	if (chunk_head_narrow(&part, blocks, &from, &bytes))
		FUZZ_CHECK((uint64_t)from + bytes <= head->body_bytes);
	FUZZ_CHECK(bytes == part.body_bytes && bytes <= head->body_bytes);
	FUZZ_CHECK(part.block_mask == (head->block_mask & blocks));
	/* A complete chunk merged with a part of itself is itself. */
	if (head->block_mask != chunk_blocks_complete(head->block_shift, head->zero_map))
		return;
	FUZZ_CHECK(!chunk_head_merge(head, &part, &merged, &from_base));
	FUZZ_CHECK(merged.block_mask == head->block_mask);
	FUZZ_CHECK(merged.body_bytes == head->body_bytes);
	FUZZ_CHECK(from_base == (head->block_mask & ~part.block_mask));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chunk_codec *codec;
	struct fuzz_input in = {data, size};
	uint8_t *packed, *body, again[CHUNK_HEAD_MAX], fixed[CHUNK_HEAD_MAX] = {0};
	unsigned flags = (unsigned)fuzz_take(&in, 1);
	uint64_t place = fuzz_take(&in, 1);
	uint32_t zero_pages = (uint32_t)fuzz_take(&in, 4), valid, may;
	size_t len = (size_t)fuzz_take(&in, 2), body_len;
	struct chunk_head head;
	int verified, decoded;

	if (!codec)
		codec = chunk_codec_create();
	FUZZ_CHECK(codec);
	if (flags & 2)
		len = len < sizeof(fixed) ? len : sizeof(fixed);
	packed = fuzz_take_copy(&in, &len);
	if (flags & 2) {
		memcpy(fixed, packed, len);
		free(packed);
		len = fuzz_head_fix(fixed);
		packed = malloc(len);
		FUZZ_CHECK(packed);
		memcpy(packed, fixed, len);
	}
	if (chunk_head_unpack(&head, packed, len)) {
		free(packed);
		return 0;
	}
	/* There is one way to write a head. */
	FUZZ_CHECK(chunk_head_pack(&head, again) == len && !memcmp(again, packed, len));
	FUZZ_CHECK(head.body_bytes <= GVM_CHUNK_BYTES);
	FUZZ_CHECK(chunk_head_measure(packed, len) == len);
	head_parts(&head, zero_pages);

	/* What is missing of the body is zeros: short inputs get far. */
	body = body_room(head.body_bytes);
	body_len = in.left < head.body_bytes ? in.left : head.body_bytes;
	memcpy(body, in.at, body_len);
	if (flags & 1)
		fuzz_hashes_fix(&head, body, &region, place);
	verified = chunk_verify(&head, body, &region, place);
	FUZZ_CHECK(!verified || !(flags & 1) || head.sealed);
	FUZZ_CHECK(verified || !head.sealed);

	may = chunk_pages_of_blocks(head.block_shift, head.block_mask) |
	      (head.zero_map & zero_pages);
	memset(chunk, FILLER, sizeof(chunk));
	decoded = chunk_decode(codec, &head, body, &region, place, zero_pages, chunk, &valid);
	FUZZ_CHECK(!verified || decoded);
	FUZZ_CHECK(decoded || valid == may);
	pages_untouched(~may);
	free(packed);
	return 0;
}
