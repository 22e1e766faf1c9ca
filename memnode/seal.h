/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seal.h - chunks that a memory node can neither read nor change: SEAL.md has the reasons.
 *
 * Each block is compressed, then encrypted by AES-256-GCM. The key is made from the host's master key,
 * the region's id and the sealer's salt; the nonce is the sealer's count. A sealer draws its salt at
 * random, keeps its count in memory and seals with no number twice, so that no key and nonce ever seal two
 * blocks, whatever is sent again, after whatever crash, under whatever epoch a node hands out. What the
 * tag binds beside the bytes: chunk, block, its version, which of its pages it holds, and how.
 *
 * That a block is authentic does not make it the newest one. The host keeps, for each page of a chunk, which
 * sealed block has it, or that it is zero (struct seal_known), and takes nothing else.
 *
 * Nothing is allocated while sealing or opening, but for a region's first blocks of some salt. No
 * function waits.
 */
#ifndef GVM_SEAL_H
#define GVM_SEAL_H

#include "codec.h"

#define SEAL_KEY_BYTES_MIN 32u /* of the file that has the master key */

/*
 * One per thread. It is wiped in a process that fork() makes: there every call is refused (-EIO), since two
 * processes would count on from the same number.
 * -ENOMEM; -EINVAL: fewer than SEAL_KEY_BYTES_MIN bytes; -EOPNOTSUPP: a kernel that cannot wipe pages in a child. The
 * key is not kept, only what is derived from it. May wait, early in the boot, for the kernel's random numbers.
 */
struct sealer;
int sealer_create(const void *master, size_t bytes, struct sealer **s);
/* NULL is accepted. Leaves no key in memory. */
void sealer_destroy(struct sealer *s);

/* As gvm_key_load(), with its errors, but of at least SEAL_KEY_BYTES_MIN bytes. */
int seal_key_load(const char *path, uint8_t **key, size_t *bytes);
const char *seal_key_error(int err);

/*
 * What a host knows of a chunk's pages. All zero: nothing; then the first authentic answer is believed, and
 * remembered. It outlives a killed worker as the rest of the host's index does, each entry being one store.
 */
#define SEAL_UNKNOWN 0ull
#define SEAL_ZERO    1ull /* the page is zero */
struct seal_known {
	uint64_t page[GVM_CHUNK_PAGES]; /* else: of the tag of the block that has it, the first 8 bytes */
};

/*
 * As chunk_encode(), sealed: what is about to be sent as, or in, `version` of the chunk. What is sealed anew, even of
 * the same pages, is another content, and is to have a version of its own: see SEAL.md. 0; otherwise nothing may be
 * sent: -ENOMEM (it may be tried again), -EIO.
 */
int seal_encode(struct sealer *s, struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks,
		uint32_t zero_map, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		uint64_t version, struct chunk_head *head, uint8_t *body);

/* As chunk_encode_lost(), sealed. */
int seal_encode_lost(struct sealer *s, uint32_t blocks, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		     uint64_t version, struct chunk_head *head, uint8_t *body);

/*
 * As chunk_decode(), of an answer in `version` of the chunk (what the node says): 0, -ENODATA, or -EBADMSG where anything
 * is not as it was sealed, or not what `known` says of the pages that came or are in zero_pages. Then nothing in
 * chunk_data may be used.
 */
int seal_decode(struct sealer *s, struct chunk_codec *c, const struct chunk_head *head,
		const uint8_t *body, const struct gvm_id *region, uint64_t chunk, uint64_t version,
		const struct seal_known *known, uint32_t zero_pages, uint8_t *chunk_data,
		uint32_t *valid);

/*
 * The same in two steps, for another thread with a sealer of its own: whether an answer is what is known, by its head alone
 * (0 or -EBADMSG); and its blocks, which also have to be as they were sealed (0, -ENODATA, -EBADMSG or -EIO). Nothing is to
 * be used of what did not pass both.
 */
int seal_judge(const struct chunk_head *head, uint64_t version, const struct seal_known *known, uint32_t zero_pages);
int seal_open(struct sealer *s, struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
	      const struct gvm_id *region, uint64_t chunk, uint32_t zero_pages, uint8_t *chunk_data, uint32_t *valid);
/* Of zero_pages, those of which all three take a head's word: zero pages of a block that is still to come are the block's to
 * tell. */
uint32_t seal_zero_pages(const struct chunk_head *head, uint32_t zero_pages);

/*
 * An answer is on its way: has the processor fetch, meanwhile, what opening it takes. (Without, its first block takes twice as
 * long.) Nothing depends on it.
 */
void seal_expect(struct sealer *s);

/* What is known of a page when seal_decode() has found it *valid, or a PUT of `head` was acknowledged. SEAL_UNKNOWN:
 * `head` says nothing of it, and what was known before still is. */
uint64_t seal_page_of(const struct chunk_head *head, unsigned page);

/* The keys' derivation, for tests and for other implementations. 0 or -EIO. */
int seal_region_key(const void *master, size_t bytes, const struct gvm_id *region, uint8_t key[32]);
int seal_block_key(const uint8_t region_key[32], const struct chunk_salt *salt, uint8_t key[32]);

/* By which a master key is known again, never 0; says nothing about the key itself. 0 or -EIO. */
int seal_key_id(const void *master, size_t bytes, uint64_t *id);
/* By which whoever has the master key knows that this region in this folder, under this name, is plain by the word of one who
 * had it, or that such a one has made the folder `id` there: never 0, and no key's id. 0; -EIO; -EINVAL: a name of more than
 * SEAL_NAME_MAX bytes. */
#define SEAL_NAME_MAX 255u
enum seal_marks { SEAL_MARKS_REGION, SEAL_MARKS_FOLDER };
int seal_mark(struct sealer *s, enum seal_marks what, const struct gvm_id *id, const struct gvm_id *parent, const char *name,
	      uint64_t *mark);

#endif
