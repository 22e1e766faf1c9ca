/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chunk_head.h - what is known of an encoded chunk (codec.h) without its body: which blocks it lists, how long they are, and
 * how they are checked. Packing, checking, cutting and merging of heads, plain or sealed, none of which takes a key.
 */
#ifndef GVM_CHUNK_HEAD_H
#define GVM_CHUNK_HEAD_H

#include "gvm_wire.h"

#define CHUNK_BLOCKS_MAX     GVM_CHUNK_PAGES
#define CHUNK_BLOCK_SHIFT_MAX 3
/* Packed head: zero_map u32, block_shift u8, form u8 (1: sealed), count u16, block_mask u32, body_bytes
 * u32, then `count` entries: plain {stored length u32 (bit 31: raw), hash u64}, sealed {stored length
 * u32 (bits 16 to 20: which salt; bit 31: raw), version u64, number u32, tag 16}; sealed, then the
 * salts, 16 bytes each, in the order in which the entries use them first. */
#define CHUNK_PLAIN_HEAD_BYTES(count) (16u + 12u * (count))
#define CHUNK_SALT_BYTES     16u
#define CHUNK_TAG_BYTES	     16u
#define CHUNK_SEALED_HEAD_BYTES(count, salts) (16u + 32u * (count) + CHUNK_SALT_BYTES * (salts))
#define CHUNK_HEAD_MAX	     CHUNK_SEALED_HEAD_BYTES(CHUNK_BLOCKS_MAX, CHUNK_BLOCKS_MAX)
#define CHUNK_ENCODED_MAX    (CHUNK_HEAD_MAX + GVM_CHUNK_BYTES)

/* gvmfs encodes blocks of 1 << this pages; CODEC.md has the measurement behind the choice. Every
 * block size is decoded. */
#define CHUNK_BLOCK_SHIFT 0

struct chunk_block {
	uint32_t bytes; /* of the body, as stored; at most the block's pages that are not zero */
	bool raw;	/* not compressed: bytes is then exactly that bound, otherwise less */
	uint8_t salt;	/* sealed: which of the head's */
	uint32_t number; /* sealed: with the salt, of no other block */
	uint64_t hash;	 /* plain */
	uint64_t version; /* sealed: the chunk's, when this block was sent */
	uint8_t tag[CHUNK_TAG_BYTES]; /* sealed */
};

struct chunk_salt {
	uint8_t b[CHUNK_SALT_BYTES];
};

struct chunk_head {
	uint32_t zero_map;   /* bit p: page p of the chunk is all zero */
	uint32_t block_mask; /* bit b: block b is listed, its body is here */
	uint32_t body_bytes; /* sum of the listed blocks' bytes */
	uint8_t block_shift;
	bool sealed;
	struct chunk_block block[CHUNK_BLOCKS_MAX]; /* indexed by block; listed ones are valid */
	struct chunk_salt salt[CHUNK_BLOCKS_MAX]; /* sealed: those that the blocks name; no two are alike */
};

/* The pages of block b. */
static inline uint32_t chunk_block_pages(unsigned shift, unsigned b)
{
	uint32_t n = 1u << shift;

	return (uint32_t)(((1ull << n) - 1) << (b * n));
}

/* The pages of block b that its body holds. */
static inline uint32_t chunk_block_held(const struct chunk_head *h, unsigned b)
{
	return chunk_block_pages(h->block_shift, b) & ~h->zero_map;
}

/* Which pages of a block its body holds, the first page's in bit 0. */
static inline uint8_t chunk_block_shape(const struct chunk_head *h, unsigned b)
{
	return (uint8_t)(chunk_block_held(h, b) >> (b << h->block_shift));
}

/* The blocks that hold any of `pages`. */
uint32_t chunk_blocks_of_pages(unsigned shift, uint32_t pages);
/* The pages of all the blocks in `blocks`. */
uint32_t chunk_pages_of_blocks(unsigned shift, uint32_t blocks);
/* The blocks that a complete chunk with this zero map lists: those with a page that is not zero. */
uint32_t chunk_blocks_complete(unsigned shift, uint32_t zero_map);

/* Returns the packed bytes. buf has room for CHUNK_HEAD_MAX. */
size_t chunk_head_pack(const struct chunk_head *h, uint8_t *buf);

/* How long the head is with which these bytes begin, a chunk's head and body; 0: they begin with none. To be
 * unpacked all the same. */
size_t chunk_head_measure(const uint8_t *packed, size_t len);

/*
 * Reads a head from exactly `len` bytes and checks everything that can be checked without the
 * body: counts, masks, no listed block that the zero map says is all zero, lengths in their
 * bounds, the sum. -EBADMSG otherwise. An accepted head may be trusted from then on.
 */
int chunk_head_unpack(struct chunk_head *h, const uint8_t *buf, size_t len);

/*
 * Narrows `h` to the blocks in `blocks`. *from and *bytes say where their bodies stand in the
 * body when they are adjacent; returns false when they are not (then only h is narrowed).
 */
bool chunk_head_narrow(struct chunk_head *h, uint32_t blocks, uint32_t *from, uint32_t *bytes);

/*
 * Applies a partial PUT: `delta` lists changed blocks; a block that it does not list has become
 * zero where the delta's zero map covers all of it, and otherwise stays as it is in `base`, a
 * complete chunk (the delta's zero bits then say nothing). Fills `out` with the merged head;
 * `from_base` gets the mask of blocks to be copied from the base's body. -EINVAL if the block sizes or
 * the forms differ or the base is not complete.
 */
int chunk_head_merge(const struct chunk_head *base, const struct chunk_head *delta,
		     struct chunk_head *out, uint32_t *from_base);

/*
 * The same with the bodies: out_body gets the merged chunk's (room: GVM_CHUNK_BYTES; none of the others). Blocks that come
 * from the base do so as they are, with their hashes or seals.
 */
int chunk_compose(const struct chunk_head *base, const uint8_t *base_body,
		  const struct chunk_head *delta, const uint8_t *delta_body, struct chunk_head *out,
		  uint8_t *out_body);

/* A chunk that comes in parts (answers to GET), put together as it is. Pages that have not come count as zero. */
struct chunk_parts {
	struct chunk_head head;
	uint8_t *body, *other; /* given: its body, and as much room again: GVM_CHUNK_BYTES each */
};
void chunk_parts_begin(struct chunk_parts *p, bool sealed);
/* A part that comes twice is taken once. 0; -EINVAL: it has blocks of another size than ours, or the other form. */
int chunk_parts_add(struct chunk_parts *p, const struct chunk_head *part, const uint8_t *body);

/*
 * What is lost. A block of one byte that is not raw is no compressed page: it says that its pages are lost. A writer puts it in
 * where no node could read any more what it had, so that the rest of the chunk can be written. To a node it is a block like
 * others, and a reader gets an error.
 */
#define CHUNK_LOST_BYTES 1u
static inline bool chunk_block_is_lost(const struct chunk_block *k)
{
	return !k->raw && k->bytes == CHUNK_LOST_BYTES;
}

/* Whether nobody seems to have tried to compress it: it lists so many blocks, and all of them are raw. (Fewer may just be pages
 * that do not compress.) */
#define CHUNK_RAW_MIN 8
bool chunk_is_raw(const struct chunk_head *h);

#endif
