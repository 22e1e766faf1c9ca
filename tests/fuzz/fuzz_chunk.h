/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_chunk.h - makes arbitrary bytes into chunk heads and bodies that pass the first checks. */
#ifndef GVM_FUZZ_CHUNK_H
#define GVM_FUZZ_CHUNK_H

#include "fuzz.h"
#include "memnode/codec.h"

#include <xxhash.h>

/* Makes the listed blocks' hashes right, so that what is behind the check is reached too. */
static inline void fuzz_hashes_fix(struct chunk_head *h, const uint8_t *body,
				   const struct gvm_id *region, uint64_t place)
{
	for (uint32_t m = h->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct chunk_block *k = &h->block[b];
		uint32_t held = chunk_block_pages(h->block_shift, b) & ~h->zero_map;
		uint64_t shape = held >> (b << h->block_shift) | (k->raw ? 256 : 0);

		k->hash = XXH3_64bits_withSeed(
			body, k->bytes, chunk_block_seed(region, place, h->block_shift, b) ^ shape);
		body += k->bytes;
	}
}

/* Makes a packed head's masks, counts and lengths right (room: CHUNK_HEAD_MAX), and a sealed one's versions and
 * salts; returns its length. */
static inline size_t fuzz_head_fix(uint8_t *head)
{
	unsigned shift = head[4] % (CHUNK_BLOCK_SHIFT_MAX + 1), sealed = head[5] == 1, salts = 0;
	uint32_t zero_map = (uint32_t)gvm_load_le(head, 4), sum = 0;
	uint32_t blocks =
		(uint32_t)gvm_load_le(head + 8, 4) & chunk_blocks_complete(shift, zero_map);
	uint8_t *entry = head + CHUNK_PLAIN_HEAD_BYTES(0);

	head[4] = (uint8_t)shift;
	head[5] = (uint8_t)sealed;
	gvm_store_le(head + 6, (unsigned)__builtin_popcount(blocks), 2);
	gvm_store_le(head + 8, blocks, 4);
	for (uint32_t m = blocks; m; m &= m - 1, entry += sealed ? 32 : 12) {
		uint32_t held = chunk_block_pages(shift, (unsigned)__builtin_ctz(m)) & ~zero_map;
		uint32_t most = (uint32_t)__builtin_popcount(held) * GVM_PAGE_BYTES;
		uint32_t word = (uint32_t)gvm_load_le(entry, 4), bytes = word;
		uint64_t version = gvm_load_le(entry + 4, 8) & GVM_VERSION_MASK;
		unsigned salt = word >> 16 & 31;

		if (sealed)
			bytes &= ~(31u << 16);
		if (bytes >> 31)
			bytes = most;
		else
			bytes = 1 + bytes % (most - 1);
		sum += bytes;
		gvm_store_le(entry, bytes | (bytes == most ? 1u << 31 : 0), 4);
		if (!sealed)
			continue;
		salt %= salts + 1;
		salts += salt == salts;
		entry[2] |= (uint8_t)salt;
		gvm_store_le(entry + 4, version ? version : 1, 8);
	}
	for (unsigned i = 0; i < salts; i++, entry += CHUNK_SALT_BYTES)
		*entry = (uint8_t)i;
	gvm_store_le(head + 12, sum, 4);
	return (size_t)(entry - head);
}

#endif
