// SPDX-License-Identifier: GPL-2.0-or-later
/* chunk_head.c - see chunk_head.h. */
#include "chunk_head.h"

#include <errno.h>
#include <string.h>

#define HEAD_FIXED	   CHUNK_PLAIN_HEAD_BYTES(0)
#define ENTRY_RAW	   (1u << 31)
#define ENTRY_PLAIN_BYTES  12u
#define ENTRY_SEALED_BYTES 32u
#define ENTRY_SALT_SHIFT   16 /* of a sealed block: which salt */
#define ENTRY_SALT	   (31u << ENTRY_SALT_SHIFT)
#define FORM_SEALED	   1u
#define SALT_NONE	   CHUNK_BLOCKS_MAX

uint32_t chunk_blocks_of_pages(unsigned shift, uint32_t pages)
{
	uint32_t blocks = 0;

	while (pages) {
		unsigned b = (unsigned)__builtin_ctz(pages) >> shift;

		blocks |= 1u << b;
		pages &= ~chunk_block_pages(shift, b);
	}
	return blocks;
}

uint32_t chunk_pages_of_blocks(unsigned shift, uint32_t blocks)
{
	uint32_t pages = 0;

	/* A mask may name more blocks than a chunk has of that size. */
	for (blocks &= UINT32_MAX >> (32 - (32 >> shift)); blocks; blocks &= blocks - 1)
		pages |= chunk_block_pages(shift, (unsigned)__builtin_ctz(blocks));
	return pages;
}

bool chunk_is_raw(const struct chunk_head *h)
{
	for (uint32_t m = h->block_mask; m; m &= m - 1)
		if (!h->block[__builtin_ctz(m)].raw)
			return false;
	return !h->sealed && __builtin_popcount(h->block_mask) >= CHUNK_RAW_MIN;
}

uint32_t chunk_blocks_complete(unsigned shift, uint32_t zero_map)
{
	return chunk_blocks_of_pages(shift, ~zero_map);
}

static uint32_t pages_bytes(uint32_t pages)
{
	return (uint32_t)__builtin_popcount(pages) * GVM_PAGE_BYTES;
}

/* ---- packing ---- */

static uint8_t *plain_pack(const struct chunk_head *h, uint8_t *p)
{
	for (uint32_t m = h->block_mask; m; m &= m - 1) {
		const struct chunk_block *k = &h->block[__builtin_ctz(m)];

		gvm_store_le(p, k->bytes | (k->raw ? ENTRY_RAW : 0), 4);
		gvm_store_le(p + 4, k->hash, 8);
		p += ENTRY_PLAIN_BYTES;
	}
	return p;
}

/* Salts are numbered anew, in the order of their first use: there is one way to write a head. */
static uint8_t *sealed_pack(const struct chunk_head *h, uint8_t *p)
{
	uint8_t packed[CHUNK_BLOCKS_MAX], used[CHUNK_BLOCKS_MAX];
	unsigned salts = 0;

	memset(packed, SALT_NONE, sizeof(packed));
	for (uint32_t m = h->block_mask; m; m &= m - 1) {
		const struct chunk_block *k = &h->block[__builtin_ctz(m)];

		if (packed[k->salt] == SALT_NONE) {
			used[salts] = k->salt;
			packed[k->salt] = (uint8_t)salts++;
		}
		gvm_store_le(p, k->bytes | (uint32_t)packed[k->salt] << ENTRY_SALT_SHIFT |
					(k->raw ? ENTRY_RAW : 0), 4);
		gvm_store_le(p + 4, k->version, 8);
		gvm_store_le(p + 12, k->number, 4);
		memcpy(p + 16, k->tag, CHUNK_TAG_BYTES);
		p += ENTRY_SEALED_BYTES;
	}
	for (unsigned i = 0; i < salts; i++, p += CHUNK_SALT_BYTES)
		memcpy(p, h->salt[used[i]].b, CHUNK_SALT_BYTES);
	return p;
}

size_t chunk_head_pack(const struct chunk_head *h, uint8_t *buf)
{
	gvm_store_le(buf, h->zero_map, 4);
	buf[4] = h->block_shift;
	buf[5] = h->sealed ? FORM_SEALED : 0;
	gvm_store_le(buf + 6, (unsigned)__builtin_popcount(h->block_mask), 2);
	gvm_store_le(buf + 8, h->block_mask, 4);
	gvm_store_le(buf + 12, h->body_bytes, 4);
	return (size_t)((h->sealed ? sealed_pack : plain_pack)(h, buf + HEAD_FIXED) - buf);
}

/* ---- unpacking ---- */

/* The block's length, from the first word of its entry: whether it is in its bounds. */
static bool block_bytes_take(const struct chunk_head *h, unsigned b, struct chunk_block *k,
			     uint32_t bytes, bool raw)
{
	uint32_t most = pages_bytes(chunk_block_held(h, b));

	k->bytes = bytes;
	k->raw = raw;
	return raw ? bytes == most : bytes && bytes < most;
}

static int plain_unpack(struct chunk_head *h, const uint8_t *p, size_t len, uint32_t *sum)
{
	if (len != (unsigned)__builtin_popcount(h->block_mask) * ENTRY_PLAIN_BYTES)
		return -EBADMSG;
	for (uint32_t m = h->block_mask; m; m &= m - 1, p += ENTRY_PLAIN_BYTES) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct chunk_block *k = &h->block[b];
		uint32_t entry = (uint32_t)gvm_load_le(p, 4);

		if (!block_bytes_take(h, b, k, entry & ~ENTRY_RAW, entry & ENTRY_RAW))
			return -EBADMSG;
		k->hash = gvm_load_le(p + 4, 8);
		*sum += k->bytes;
	}
	return 0;
}

static int salts_unpack(struct chunk_head *h, const uint8_t *p, unsigned salts)
{
	for (unsigned i = 0; i < salts; i++, p += CHUNK_SALT_BYTES) {
		memcpy(h->salt[i].b, p, CHUNK_SALT_BYTES);
		for (unsigned j = 0; j < i; j++)
			if (!memcmp(h->salt[j].b, p, CHUNK_SALT_BYTES))
				return -EBADMSG;
	}
	return 0;
}

static int sealed_unpack(struct chunk_head *h, const uint8_t *p, size_t len, uint32_t *sum)
{
	size_t entries = (unsigned)__builtin_popcount(h->block_mask) * ENTRY_SEALED_BYTES;
	unsigned salts = 0;

	if (len < entries)
		return -EBADMSG;
	for (uint32_t m = h->block_mask; m; m &= m - 1, p += ENTRY_SEALED_BYTES) {
		unsigned b = (unsigned)__builtin_ctz(m);
		struct chunk_block *k = &h->block[b];
		uint32_t entry = (uint32_t)gvm_load_le(p, 4);

		if (!block_bytes_take(h, b, k, entry & ~(ENTRY_RAW | ENTRY_SALT), entry & ENTRY_RAW))
			return -EBADMSG;
		k->salt = (uint8_t)((entry & ENTRY_SALT) >> ENTRY_SALT_SHIFT);
		k->version = gvm_load_le(p + 4, 8);
		k->number = (uint32_t)gvm_load_le(p + 12, 4);
		memcpy(k->tag, p + 16, CHUNK_TAG_BYTES);
		if (k->salt > salts || !k->version || k->version > GVM_VERSION_MASK)
			return -EBADMSG;
		salts += k->salt == salts;
		*sum += k->bytes;
	}
	if (len - entries != (size_t)salts * CHUNK_SALT_BYTES)
		return -EBADMSG;
	return salts_unpack(h, p, salts);
}

size_t chunk_head_measure(const uint8_t *packed, size_t len)
{
	unsigned count, salts = 0;
	size_t bytes;

	if (len < HEAD_FIXED || packed[5] > FORM_SEALED)
		return 0;
	count = (unsigned)gvm_load_le(packed + 6, 2);
	bytes = HEAD_FIXED + count * (packed[5] ? ENTRY_SEALED_BYTES : ENTRY_PLAIN_BYTES);
	if (count > CHUNK_BLOCKS_MAX || len < bytes)
		return 0;
	for (unsigned i = 0; packed[5] && i < count; i++) {
		const uint8_t *entry = packed + HEAD_FIXED + i * ENTRY_SEALED_BYTES;
		unsigned salt = (unsigned)(gvm_load_le(entry, 4) & ENTRY_SALT) >> ENTRY_SALT_SHIFT;

		if (salt >= salts)
			salts = salt + 1;
	}
	bytes += salts * CHUNK_SALT_BYTES;
	return len < bytes ? 0 : bytes;
}

int chunk_head_unpack(struct chunk_head *h, const uint8_t *buf, size_t len)
{
	uint32_t sum = 0;
	int err;

	if (len < HEAD_FIXED)
		return -EBADMSG;
	h->zero_map = (uint32_t)gvm_load_le(buf, 4);
	h->block_shift = buf[4];
	h->sealed = buf[5] == FORM_SEALED;
	h->block_mask = (uint32_t)gvm_load_le(buf + 8, 4);
	h->body_bytes = (uint32_t)gvm_load_le(buf + 12, 4);
	if (h->block_shift > CHUNK_BLOCK_SHIFT_MAX || buf[5] > FORM_SEALED ||
	    gvm_load_le(buf + 6, 2) != (unsigned)__builtin_popcount(h->block_mask) ||
	    h->block_mask & ~chunk_blocks_complete(h->block_shift, h->zero_map))
		return -EBADMSG;
	err = (h->sealed ? sealed_unpack : plain_unpack)(h, buf + HEAD_FIXED, len - HEAD_FIXED, &sum);
	if (err)
		return err;
	return sum == h->body_bytes ? 0 : -EBADMSG;
}

/* ---- parts ---- */

bool chunk_head_narrow(struct chunk_head *h, uint32_t blocks, uint32_t *from, uint32_t *bytes)
{
	uint32_t kept = h->block_mask & blocks, at = 0;
	bool adjacent = true;

	*from = 0;
	*bytes = 0;
	for (uint32_t m = h->block_mask; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);

		if (kept >> b & 1) {
			if (!*bytes)
				*from = at;
			else if (*from + *bytes != at)
				adjacent = false;
			*bytes += h->block[b].bytes;
		}
		at += h->block[b].bytes;
	}
	h->block_mask = kept;
	h->body_bytes = *bytes;
	return adjacent;
}

/* Gives block b of `out`, which comes from `of`, its salt among the *salts that `out` has. */
static void salt_add(struct chunk_head *out, unsigned *salts, const struct chunk_head *of, unsigned b)
{
	const struct chunk_salt *salt = &of->salt[of->block[b].salt];
	unsigned i;

	for (i = 0; i < *salts; i++)
		if (!memcmp(out->salt[i].b, salt->b, CHUNK_SALT_BYTES))
			break;
	if (i == *salts)
		out->salt[(*salts)++] = *salt;
	out->block[b].salt = (uint8_t)i;
}

int chunk_head_merge(const struct chunk_head *base, const struct chunk_head *delta,
		     struct chunk_head *out, uint32_t *from_base)
{
	unsigned shift = delta->block_shift;
	uint32_t left_out = chunk_blocks_complete(shift, delta->zero_map) & ~delta->block_mask;
	uint32_t left_out_pages = chunk_pages_of_blocks(shift, left_out);
	uint32_t inherited = left_out & base->block_mask;
	uint32_t complete = delta->block_mask | inherited;
	unsigned salts = 0;

	if (base->block_shift != shift ||
	    base->block_mask != chunk_blocks_complete(shift, base->zero_map) ||
	    (base->block_mask && delta->block_mask && base->sealed != delta->sealed))
		return -EINVAL;
	out->zero_map = (delta->zero_map & ~left_out_pages) | (base->zero_map & left_out_pages);
	out->block_mask = complete;
	out->block_shift = (uint8_t)shift;
	out->sealed = base->block_mask ? base->sealed : delta->sealed;
	out->body_bytes = 0;
	for (uint32_t m = complete; m; m &= m - 1) {
		unsigned b = (unsigned)__builtin_ctz(m);
		const struct chunk_head *of = inherited >> b & 1 ? base : delta;

		out->block[b] = of->block[b];
		out->body_bytes += out->block[b].bytes;
		if (out->sealed)
			salt_add(out, &salts, of, b);
	}
	*from_base = inherited;
	return 0;
}


int chunk_compose(const struct chunk_head *base, const uint8_t *base_body,
		  const struct chunk_head *delta, const uint8_t *delta_body, struct chunk_head *out,
		  uint8_t *out_body)
{
	uint32_t from_base;
	int err = chunk_head_merge(base, delta, out, &from_base);

	if (err)
		return err;
	for (unsigned b = 0; b < CHUNK_BLOCKS_MAX; b++) {
		if (out->block_mask >> b & 1)
			out_body = (uint8_t *)mempcpy(out_body, from_base >> b & 1 ? base_body : delta_body,
						      out->block[b].bytes);
		base_body += base->block_mask >> b & 1 ? base->block[b].bytes : 0;
		delta_body += delta->block_mask >> b & 1 ? delta->block[b].bytes : 0;
	}
	return 0;
}

void chunk_parts_begin(struct chunk_parts *p, bool sealed)
{
	p->head.zero_map = ~0u;
	p->head.block_mask = p->head.body_bytes = 0;
	p->head.block_shift = CHUNK_BLOCK_SHIFT;
	p->head.sealed = sealed;
}

int chunk_parts_add(struct chunk_parts *p, const struct chunk_head *part, const uint8_t *body)
{
	struct chunk_head add = *part, sum;
	uint8_t *was = p->body;
	int r;

	/* Blocks that are not in this part stay as they are. */
	add.zero_map &= chunk_pages_of_blocks(part->block_shift, part->block_mask);
	r = chunk_compose(&p->head, p->body, &add, body, &sum, p->other);
	if (r)
		return r;
	p->head = sum;
	p->body = p->other;
	p->other = was;
	return 0;
}
