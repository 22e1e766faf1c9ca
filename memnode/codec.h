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
 * itself is handled alike, without a key (chunk_head.h).
 *
 * Pure: no I/O, no locks, no allocation after chunk_codec_create().
 */
#ifndef GVM_CODEC_H
#define GVM_CODEC_H

#include "chunk_head.h"

/*
 * The seed of block b's hash: XXH3-64 of the region's id followed by the number of the block's
 * first page in the region (u64). The hash itself is XXH3-64 of the stored bytes with this seed
 * xor'ed by what the head says of the block: bit p: its page p is not zero; bit 8: raw.
 */
uint64_t chunk_block_seed(const struct gvm_id *region, uint64_t chunk, unsigned shift, unsigned b);

/* Plain: checks every listed block's hash over body[0..h->body_bytes): 0 or -EBADMSG. */
int chunk_verify(const struct chunk_head *h, const uint8_t *body, const struct gvm_id *region,
		 uint64_t chunk);

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
