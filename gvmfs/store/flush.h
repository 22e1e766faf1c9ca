/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flush.h - what of a chunk is sent to its node, and how: the decisions of a writer (writer.h).
 *
 * A flush is of a sealed slot's pages, which do not change any more, or of a chunk that the fast path
 * (resident.h) evicts or has to keep safe: that is read out of its memory first, and only the pages count
 * that differ from what the node has, by their hashes. Blocks of which only some pages are known are
 * completed (the others are fetched); what is sent is the whole chunk or the changed blocks. A node that
 * holds another base than ours is sent all of it, once.
 *
 * The decisions call into kernel and nodes by struct flush_env only, which writer.c has, and a simulator
 * (tests/resident).
 */
#ifndef GVMFS_FLUSH_H
#define GVMFS_FLUSH_H

#include "codec.h"
#include "gvm_client.h"
#include "state/record.h"

#include <xxhash.h>

struct worker;
struct writer;
struct flush;

/* What a flush is carried out with. Results are 0 or a negative errno. */
struct flush_env {
	uint8_t *(*scratch)(const struct flush *f); /* GVM_CHUNK_BYTES */
	/* Reads the chunk's memory. */
	int (*read)(struct flush *f, unsigned first, unsigned n, uint8_t *to);
	/* Encodes blocks of `from` for send(), and finds f->head. */
	void (*encode)(struct flush *f, const uint8_t *from, uint32_t blocks);
	/* Fetches pages of the base; sends what was encoded, as a change of `base` (0: as a whole). */
	int (*get)(struct flush *f, uint32_t pages);
	int (*send)(struct flush *f, uint64_t base);
	/* Nothing is really sent: a measurement. */
	bool (*is_dry)(const struct flush *f);
	/* It is over; or it is to begin anew. */
	void (*end)(struct flush *f, int result);
	void (*again)(struct flush *f);
};

struct flush {
	struct flush *next;
	const struct flush_env *env; /* the writer's */
	/* set by the front */
	void (*done)(struct worker *w, struct flush *f); /* front thread: with the outcome */
	struct gvm_id region;
	struct record_node node;
	uint64_t epoch;
	uint64_t chunk;
	uint64_t version; /* that the chunk shall have */
	uint64_t base;	  /* that it has on the node, with GVM_VERSION_ZERO; 0: never written */
	bool tried;	  /* a version above `base` was sent once: the node may hold other bytes */
	uint32_t pages;	  /* valid pages of data: what it changes on the node, and nothing else */
	const uint8_t *data; /* NULL: read from memory_fd, at the chunk's place */
	bool resident;	  /* an eviction: with */
	int memory_fd;
	uint64_t seed;	  /* of the hashes */
	uint32_t known;	  /* pages whose hash, as the node has them, is known: */
	const XXH128_hash_t *hashes_known;
	XXH128_hash_t *hashes; /* the writer fills in: of the pages that it read, */
	uint32_t read;	  /* which are `pages`: what was sent is what is remembered as sent */
	/* the outcome */
	int result;
	bool clean;	   /* nothing had changed, nothing was sent */
	bool all_zero;	   /* the chunk is all zero now */
	bool delta;	   /* sent as changed blocks only */
	bool base_fetched; /* after a GET for the rest of a block */
	uint32_t put_bytes, raw_bytes, zero_pages;
	/* the writer's own */
	bool whole_retry; /* the node did not have the base as we know it: fetch all, send all */
	struct writer *writer;
	unsigned buffer;
	struct gvm_get get;
	struct gvm_put put;
	struct chunk_head head;
	uint32_t asked;	  /* pages of the base that are fetched */
	uint32_t fetched; /* of these, what is in the scratch buffer */
};

/* The index's entry for a chunk whose flush succeeded: 0 if it is zero and the node never heard of it. */
static inline uint64_t flush_index_entry(const struct flush *f)
{
	if (f->all_zero && !f->base && !f->tried)
		return 0;
	return f->version | (f->all_zero ? GVM_VERSION_ZERO : 0);
}

/* ---- the decisions, called by the writer that carries a flush out */

/* `f` has a writer and buffers. */
void flush_start(struct flush *f);
/* Pages that were asked for by flush_get() are in the scratch buffer. */
void flush_piece(struct flush *f, uint32_t pages);
/* No more come: 0 or a negative errno. */
void flush_fetched(struct flush *f, int error);
/* The node has answered flush_send(). */
void flush_sent(struct flush *f, int error);

#endif
