// SPDX-License-Identifier: GPL-2.0-or-later
/* codec.c - codec.h for pages of 8 bytes: blocks of one page, not compressed. (Heads: memnode/chunk_head.c.) */
#include "cluster.h"

#include <errno.h>
#include <string.h>

struct chunk_codec {
	char none;
};

struct chunk_codec *chunk_codec_create(void)
{
	static struct chunk_codec codec;

	return &codec;
}

uint64_t page_hash(uint64_t content, uint64_t chunk, unsigned page)
{
	return XXH3_64bits_withSeed(&content, sizeof(content), chunk * GVM_CHUNK_PAGES + page);
}

void chunk_encode(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map, unsigned shift,
		  const struct gvm_id *region, uint64_t chunk, struct chunk_head *head, uint8_t *body)
{
	(void)c;
	(void)region;
	memset(head, 0, sizeof(*head));
	head->block_shift = (uint8_t)shift;
	head->zero_map = zero_map & ~blocks;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t content;

		if (!(blocks >> p & 1))
			continue;
		memcpy(&content, chunk_data + p * GVM_PAGE_BYTES, sizeof(content));
		if (!content) {
			head->zero_map |= 1u << p;
			continue;
		}
		head->block_mask |= 1u << p;
		head->block[p] = (struct chunk_block){ .bytes = GVM_PAGE_BYTES, .raw = true,
						       .hash = page_hash(content, chunk, p) };
		memcpy(body + head->body_bytes, &content, sizeof(content));
		head->body_bytes += GVM_PAGE_BYTES;
	}
}

/* Their byte is like a page that has the content zero, which none has that is listed. */
void chunk_encode_lost(uint32_t blocks, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		       struct chunk_head *head, uint8_t *body)
{
	(void)region;
	memset(head, 0, sizeof(*head));
	head->block_shift = (uint8_t)shift;
	head->zero_map = ~blocks;
	head->block_mask = blocks;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (blocks >> p & 1) {
			head->block[p] = (struct chunk_block){ .bytes = CHUNK_LOST_BYTES, .hash = page_hash(0, chunk, p) };
			body[head->body_bytes++] = 0;
		}
}

void chunk_encode_raw(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map, unsigned shift,
		      const struct gvm_id *region, uint64_t chunk, struct chunk_head *head, uint8_t *body)
{
	chunk_encode(c, chunk_data, blocks, zero_map, shift, region, chunk, head, body);
}

int chunk_decode(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body, const struct gvm_id *region,
		 uint64_t chunk, uint32_t zero_pages, uint8_t *chunk_data, uint32_t *valid)
{
	uint32_t zero = head->zero_map & zero_pages;
	bool lost = false;

	(void)c;
	(void)region;
	*valid = head->block_mask | zero;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t content = 0;

		if (!(*valid >> p & 1))
			continue;
		if (head->block_mask >> p & 1) {
			memcpy(&content, body, head->block[p].bytes);
			body += head->block[p].bytes;
			if (page_hash(content, chunk, p) != head->block[p].hash)
				return -EBADMSG;
			if (chunk_block_is_lost(&head->block[p])) {
				*valid &= ~(1u << p);
				lost = true;
				continue;
			}
		}
		memcpy(chunk_data + p * GVM_PAGE_BYTES, &content, sizeof(content));
	}
	return lost ? -ENODATA : 0;
}

int chunk_verify(const struct chunk_head *head, const uint8_t *body, const struct gvm_id *region, uint64_t chunk)
{
	uint8_t data[GVM_CHUNK_BYTES];
	uint32_t valid;
	int r = chunk_decode(NULL, head, body, region, chunk, 0, data, &valid);

	return r == -ENODATA ? 0 : r;
}
