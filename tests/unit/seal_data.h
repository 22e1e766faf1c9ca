/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seal_data.h - a master key, sealers of it, and a chunk with every sort of block, sealed. */
#ifndef GVM_SEAL_DATA_H
#define GVM_SEAL_DATA_H

#include "codec_data.h"
#include "memnode/seal.h"

static const uint8_t seal_master[32] = "a master key, known to all tests";
#define SEAL_VERSION gvm_version(5, 8)

static inline struct sealer *sealer_make(void)
{
	struct sealer *s;

	CHECK_EQ(sealer_create(seal_master, sizeof(seal_master), &s), 0);
	return s;
}

/* Zero, raw and compressed blocks, some with holes; few bytes of body. */
static inline void sealed_data_fill(uint8_t *chunk)
{
	memset(chunk, 0, GVM_CHUNK_BYTES);
	page_fill(chunk + 0 * GVM_PAGE_BYTES, PAGE_TEXT);
	page_fill(chunk + 2 * GVM_PAGE_BYTES, PAGE_LAST_BYTE);
	page_fill(chunk + 8 * GVM_PAGE_BYTES, PAGE_RANDOM);
	page_fill(chunk + 17 * GVM_PAGE_BYTES, PAGE_LAST_BYTE);
	memcpy(chunk + 18 * GVM_PAGE_BYTES, chunk + 17 * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	page_fill(chunk + 31 * GVM_PAGE_BYTES, PAGE_TEXT);
}

static inline void seal_learn(struct seal_known *known, const struct chunk_head *head, uint32_t pages)
{
	for (; pages; pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);
		uint64_t said = seal_page_of(head, p);

		if (said != SEAL_UNKNOWN)
			known->page[p] = said;
	}
}

#endif
