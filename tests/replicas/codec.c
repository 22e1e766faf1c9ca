// SPDX-License-Identifier: GPL-2.0-or-later
/* codec.c - codec.h and seal.h for pages of 8 bytes: blocks of one page, not compressed. (Heads: memnode/chunk_head.c.) */
#include "cluster.h"

#include "seal.h"

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

const uint8_t *chunk_encode_raw(const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map, unsigned shift,
				const struct gvm_id *region, uint64_t chunk, struct chunk_head *head, uint8_t *body)
{
	chunk_encode(NULL, chunk_data, blocks, zero_map, shift, region, chunk, head, body);
	return body;
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

/* ---- seal.h: a block is known by a number, instead of the nonce that a real one has */

uint64_t seal_hash(uint64_t content, uint64_t chunk, unsigned page, uint64_t seal, uint64_t version)
{
	const uint64_t all[] = { content, seal, version };

	return XXH3_64bits_withSeed(all, sizeof(all), chunk * GVM_CHUNK_PAGES + page) | 1;
}

static uint64_t body_content(const struct chunk_head *head, unsigned b, const uint8_t *body)
{
	uint64_t content = 0;

	memcpy(&content, body, head->block[b].bytes);
	return content;
}

static int head_seal(struct chunk_head *head, const uint8_t *body, uint64_t chunk, uint64_t version)
{
	head->sealed = true;
	for (uint32_t m = head->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct chunk_block *k = &head->block[b];
		uint64_t seal = seal_new(1);

		k->hash = 0;
		k->version = version;
		k->salt = 0;
		gvm_store_le(k->tag, seal, 8);
		gvm_store_le(k->tag + 8, seal_hash(body_content(head, b, body), chunk, b, seal, version), 8);
		body += k->bytes;
	}
	return 0;
}

int seal_encode(struct sealer *s, struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map,
		unsigned shift, const struct gvm_id *region, uint64_t chunk, uint64_t version, struct chunk_head *head,
		uint8_t *body)
{
	(void)s;
	chunk_encode(c, chunk_data, blocks, zero_map, shift, region, chunk, head, body);
	return head_seal(head, body, chunk, version);
}

int seal_encode_lost(struct sealer *s, uint32_t blocks, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		     uint64_t version, struct chunk_head *head, uint8_t *body)
{
	(void)s;
	chunk_encode_lost(blocks, shift, region, chunk, head, body);
	return head_seal(head, body, chunk, version);
}

uint64_t seal_page_of(const struct chunk_head *head, unsigned page)
{
	if (head->zero_map >> page & 1)
		return SEAL_ZERO;
	return head->block_mask >> page & 1 ? gvm_load_le(head->block[page].tag, 8) : SEAL_UNKNOWN;
}

static bool pages_are_known(const struct chunk_head *head, const struct seal_known *known, uint32_t pages)
{
	for (; pages; pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);

		if (known->page[p] != SEAL_UNKNOWN && known->page[p] != seal_page_of(head, p))
			return false;
	}
	return true;
}

uint32_t seal_zero_pages(const struct chunk_head *head, uint32_t zero_pages)
{
	(void)head; /* blocks of one page */
	return zero_pages;
}

int seal_judge(const struct chunk_head *head, uint64_t version, const struct seal_known *known, uint32_t zero_pages)
{
	for (uint32_t m = head->block_mask; m; m &= m - 1)
		if (head->block[__builtin_ctz(m)].version > version)
			return -EBADMSG;
	if ((!head->sealed && head->block_mask) ||
	    !pages_are_known(head, known, head->block_mask | (head->zero_map & zero_pages)))
		return -EBADMSG;
	return 0;
}

int seal_open(struct sealer *s, struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
	      const struct gvm_id *region, uint64_t chunk, uint32_t zero_pages, uint8_t *chunk_data, uint32_t *valid)
{
	struct chunk_head plain = *head;
	const uint8_t *at = body;

	(void)s;
	if (!head->sealed && head->block_mask)
		return -EBADMSG;
	plain.sealed = false;
	for (uint32_t m = head->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		const struct chunk_block *k = &head->block[b];
		uint64_t content = body_content(head, b, at);

		if (gvm_load_le(k->tag + 8, 8) != seal_hash(content, chunk, b, gvm_load_le(k->tag, 8), k->version))
			return -EBADMSG;
		plain.block[b].hash = page_hash(content, chunk, b);
		at += k->bytes;
	}
	return chunk_decode(c, &plain, body, region, chunk, zero_pages, chunk_data, valid);
}

int seal_decode(struct sealer *s, struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
		const struct gvm_id *region, uint64_t chunk, uint64_t version, const struct seal_known *known,
		uint32_t zero_pages, uint8_t *chunk_data, uint32_t *valid)
{
	int error = seal_judge(head, version, known, zero_pages);

	return error ? error : seal_open(s, c, head, body, region, chunk, zero_pages, chunk_data, valid);
}

int sealer_create(const void *master, size_t bytes, struct sealer **s)
{
	(void)master;
	(void)bytes;
	(void)s;
	return -EINVAL;
}
