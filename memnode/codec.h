/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * codec.h - how a chunk of guest memory is encoded to travel and to be stored.
 *
 * A chunk (32 pages, 128 KiB) is cut into blocks of 1, 2, 4 or 8 pages. A block's pages that are
 * not all zero are laid end to end and compressed with lz4, or left raw where that does not make
 * them smaller; a block of zero pages only has no body. Any block can be decoded alone, and carries
 * XXH3-64 of its stored bytes under a seed that names region, chunk and place: a block that
 * strayed does not verify.
 *
 * An encoded chunk is a head and a body (the listed blocks' bytes, in ascending order). The same
 * head describes a part of a chunk: an answer to GET, or a PUT of changed blocks, lists just the
 * blocks that are there, under the whole chunk's zero map.
 *
 * A head has one of two forms. In the plain one each block has its hash. In the sealed one each block
 * is encrypted, and has what the holder of the key needs to check and decrypt it (seal.h); the head
 * itself is handled alike, without a key (chunk_head.c).
 *
 * Pure: no I/O, no locks, no allocation after chunk_codec_create().
 */
#ifndef GVM_CODEC_H
#define GVM_CODEC_H

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

/*
 * The seed of block b's hash: XXH3-64 of the region's id followed by the number of the block's
 * first page in the region (u64). The hash itself is XXH3-64 of the stored bytes with this seed
 * xor'ed by what the head says of the block: bit p: its page p is not zero; bit 8: raw.
 */
uint64_t chunk_block_seed(const struct gvm_id *region, uint64_t chunk, unsigned shift, unsigned b);

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

/* Plain: checks every listed block's hash over body[0..h->body_bytes): 0 or -EBADMSG. */
int chunk_verify(const struct chunk_head *h, const uint8_t *body, const struct gvm_id *region,
		 uint64_t chunk);

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

/* An encoder and decoder with its lz4 state; one per thread. NULL: no memory. */
struct chunk_codec;
struct chunk_codec *chunk_codec_create(void);
void chunk_codec_destroy(struct chunk_codec *c);

/*
 * Encodes the blocks in `blocks` of `chunk_data` (GVM_CHUNK_BYTES, of which only these blocks'
 * pages are read). `zero_map` gives the zero bits of the pages in other blocks; those of the
 * encoded blocks are found here. Writes head and body (room: GVM_CHUNK_BYTES); never fails.
 * A block found to be all zero is not listed.
 */
void chunk_encode(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks,
		  uint32_t zero_map, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		  struct chunk_head *head, uint8_t *body);

/* Encodes a chunk of which the blocks in `blocks` are lost, and all else is zero. */
void chunk_encode_lost(uint32_t blocks, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		       struct chunk_head *head, uint8_t *body);

/*
 * As chunk_encode(), with every block raw: for a node that compresses when it has time (chunk_block_pack()). Returns
 * where the body is: where its pages stand end to end in chunk_data already, there, and nothing is copied; else at `body`.
 */
const uint8_t *chunk_encode_raw(const uint8_t *chunk_data, uint32_t blocks, uint32_t zero_map, unsigned shift,
				const struct gvm_id *region, uint64_t chunk, struct chunk_head *head, uint8_t *body);

/*
 * Compresses raw block b of a plain chunk that has been verified; `bytes` are its. Writes what is to be stored in their
 * place (room: as many) and its entry. It stays raw where that would save nothing.
 */
void chunk_block_pack(struct chunk_codec *c, const struct chunk_head *head, unsigned b, const uint8_t *bytes,
		      const struct gvm_id *region, uint64_t chunk, struct chunk_block *packed, uint8_t *to);

/* Whether nobody seems to have tried to compress it: it lists so many blocks, and all of them are raw. (Fewer may just be pages
 * that do not compress.) */
#define CHUNK_RAW_MIN 8
bool chunk_is_raw(const struct chunk_head *h);

/*
 * Verifies and decodes the listed blocks of a plain chunk into chunk_data (GVM_CHUNK_BYTES), each page at its
 * place, with zeros for the zero pages of those blocks; and writes zeros for the pages in
 * `zero_pages & head->zero_map` of the blocks that are not listed. Other pages are not touched.
 * Returns 0 and in *valid the pages written; -ENODATA, and the same, if others of the listed ones are lost; or -EBADMSG: then
 * nothing in chunk_data may be used.
 */
int chunk_decode(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
		 const struct gvm_id *region, uint64_t chunk, uint32_t zero_pages,
		 uint8_t *chunk_data, uint32_t *valid);

/*
 * The same for other forms than the plain one. `finish` makes a block's stored bytes final in place and
 * fills in the rest of its entry; `take` checks a block and returns its bytes as they were before that
 * (NULL: refused), valid until the next call.
 */
typedef int chunk_finish_fn(void *arg, struct chunk_head *head, unsigned b, uint8_t *bytes);
typedef const uint8_t *chunk_take_fn(void *arg, const struct chunk_head *head, unsigned b,
				     const uint8_t *bytes);
int chunk_encode_with(struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks,
		      uint32_t zero_map, unsigned shift, chunk_finish_fn *finish, void *arg,
		      struct chunk_head *head, uint8_t *body);
int chunk_encode_lost_with(uint32_t blocks, unsigned shift, chunk_finish_fn *finish, void *arg,
			   struct chunk_head *head, uint8_t *body);
int chunk_decode_with(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
		      chunk_take_fn *take, void *arg, uint32_t zero_pages, uint8_t *chunk_data,
		      uint32_t *valid);

/* True if GVM_PAGE_BYTES at p are all zero. */
bool page_is_zero(const uint8_t *p);

#endif
