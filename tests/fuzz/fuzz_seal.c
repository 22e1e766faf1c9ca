// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_seal.c - a sealed chunk, changed in any way, is refused.
 *
 * Input: shift u8, blocks u32, known u8, a byte for each page (so many bytes of it, 0: zero), how many changes u8,
 * each: where u16, with what u8; then, if the first flag of `known` is set, a whole head in place of that.
 *
 * fuzz-sources: memnode/seal.c memnode/hkdf.c memnode/keyfile.c memnode/file.c
 * fuzz-sources: memnode/codec.c memnode/chunk_head.c
 * fuzz-libs: -llz4 -lxxhash -lcrypto
 */
#include "fuzz_chunk.h"
#include "memnode/seal.h"

#include <errno.h>

static const struct gvm_id region = {{9}};
static const uint8_t master[32] = "a master key, known to all tests";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t chunk[GVM_CHUNK_BYTES], out[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES], was[GVM_CHUNK_BYTES];
	static struct chunk_codec *codec;
	static struct sealer *sealer;
	struct fuzz_input in = {data, size};
	unsigned shift = (unsigned)fuzz_take(&in, 1) % (CHUNK_BLOCK_SHIFT_MAX + 1);
	uint32_t blocks = (uint32_t)fuzz_take(&in, 4), pages, valid;
	unsigned flags = (unsigned)fuzz_take(&in, 1), changes;
	uint8_t packed[CHUNK_HEAD_MAX] = {0}, first[CHUNK_HEAD_MAX] = {0};
	struct seal_known known = {{0}};
	struct chunk_head head;
	size_t len, first_len;
	int err;

	if (!codec) {
		codec = chunk_codec_create();
		FUZZ_CHECK(codec && !sealer_create(master, sizeof(master), &sealer));
	}
	blocks &= (uint32_t)((1ull << (32 >> shift)) - 1);
	memset(chunk, 0, sizeof(chunk));
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		for (unsigned n = (unsigned)fuzz_take(&in, 1), i = 0; i < n; i++)
			chunk[p * GVM_PAGE_BYTES + i * 13] = (uint8_t)(n + i * i);
	FUZZ_CHECK(!seal_encode(sealer, codec, chunk, blocks, 0, shift, &region, 1, 7, &head, body));
	len = first_len = chunk_head_pack(&head, packed);
	memcpy(first, packed, len);
	memcpy(was, body, head.body_bytes);
	pages = chunk_pages_of_blocks(shift, blocks);
	for (unsigned p = 0; flags & 2 && p < GVM_CHUNK_PAGES; p++)
		known.page[p] = pages >> p & 1 ? seal_page_of(&head, p) : SEAL_UNKNOWN;
	changes = (unsigned)fuzz_take(&in, 1) % 8;
	for (unsigned i = 0; i < changes; i++) {
		size_t at = fuzz_take(&in, 2) % (len + head.body_bytes + 1);
		uint8_t with = (uint8_t)fuzz_take(&in, 1);

		if (at < len)
			packed[at] ^= with;
		else if (at - len < head.body_bytes)
			body[at - len] ^= with;
	}
	if (flags & 1) {
		size_t bytes = sizeof(packed);
		uint8_t *copy = fuzz_take_copy(&in, &bytes);

		memset(packed, 0, sizeof(packed));
		memcpy(packed, copy, bytes);
		free(copy);
		packed[5] = 1;
		len = fuzz_head_fix(packed);
	}
	if (chunk_head_unpack(&head, packed, len))
		return 0;
	err = seal_decode(sealer, codec, &head, body, &region, 1, 7, &known, pages, out, &valid);
	FUZZ_CHECK(!err || err == -EBADMSG);
	if (err) {
		/* What nobody changed is what was sealed. */
		FUZZ_CHECK(len != first_len || memcmp(packed, first, len) || memcmp(body, was, head.body_bytes));
		return 0;
	}
	/* Whatever blocks there are, are those; zeros are what the host's index is for. */
	for (uint32_t m = valid; m; m &= m - 1) {
		unsigned p = (unsigned)__builtin_ctz(m);
		bool zero = head.zero_map >> p & 1 && known.page[p] == SEAL_UNKNOWN;

		FUZZ_CHECK((zero && page_is_zero(out + p * GVM_PAGE_BYTES)) ||
			   !memcmp(out + p * GVM_PAGE_BYTES, chunk + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES));
	}
	return 0;
}
