/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flush.h - which pages of a chunk are sent to its nodes, and how: the decisions of a writer
 * (writer.h).
 *
 * A flush sends either the pages of a sealed wbuf, which do not change any more, or a chunk that the fast
 * path (resident.h) evicts or has to save. The latter is read from the client's memory first, and only
 * pages whose hash differs from that of the node's copy are sent. A block of which only some pages are
 * known is completed: the others are fetched. The node gets the whole chunk or the changed blocks; if it
 * holds another base than ours, it gets the whole chunk, once.
 *
 * Where the heads of all copies are damaged, so that no node can read what it has, the pages that are known are sent as
 * a whole chunk, whose others are lost (codec.h): every read of those is an error, until they are written. So it is with
 * single pages that would have to be fetched, and do not verify wherever they come from.
 *
 * In a sealed region (memnode/SEAL.md) a flush encodes its pages only once. If the whole chunk has
 * to be sent, it is composed of these blocks and of the node's other blocks as they are: so a
 * version of a chunk has the same bytes on all nodes. (It encodes its pages once more where it found that no node can
 * read its copy: none has taken anything in this version then.) A flush that has failed is sent again under a
 * new version.
 *
 * The decisions reach the kernel and the nodes only through struct flush_env, of which there are two:
 * writer.c's, and that of a simulator (tests/resident).
 */
#ifndef GVMFS_FLUSH_H
#define GVMFS_FLUSH_H

#include "codec.h"
#include "gvm_client.h"
#include "seal.h"
#include "state/record.h"

#include <xxhash.h>

struct worker;
struct writer;
struct flush;

/* How a flush reads, encodes and sends. Results are 0 or a negative errno. */
struct flush_env {
	uint8_t *(*scratch)(const struct flush *f); /* GVM_CHUNK_BYTES */
	/* Reads n pages of the chunk's memory, from page `first` on. */
	int (*read)(struct flush *f, unsigned first, unsigned n, uint8_t *to);
	/* Encodes blocks of `from` for send(), and fills in f->head. */
	int (*encode)(struct flush *f, const uint8_t *from, uint32_t blocks);
	/* Sealed: adds the blocks that get() has fetched, as they are, to those that were encoded. */
	int (*compose)(struct flush *f);
	/* Makes what was encoded the whole chunk, as compose() does: f->lost are lost. */
	int (*lose)(struct flush *f);
	/* get() fetches pages of the base into the scratch buffer, and keeps what is encoded.
	 * send() sends what was encoded, as a change of `base`; 0: as a whole chunk. */
	int (*get)(struct flush *f, uint32_t pages);
	int (*send)(struct flush *f, uint64_t base);
	/* Whether nothing is really sent: for measurements. */
	bool (*is_dry)(const struct flush *f);
	/* The flush has ended with this result. */
	void (*end)(struct flush *f, int result);
	/* The flush has to begin anew. */
	void (*again)(struct flush *f);
};

struct flush {
	struct flush *next;
	const struct flush_env *env; /* the writer's */
	/* filled in by the front */
	void (*done)(struct worker *w, struct flush *f); /* front thread: with the outcome */
	struct inode *inode; /* sender.c's */
	uint64_t begun_ns;   /* of the sender's caller: when it gave the flush to the sender */
	void (*stored)(struct worker *w, struct flush *f); /* sender.c's: the caller's done() */
	struct gvm_id region;
	struct record_node node[RECORD_PLACES]; /* the nodes that it goes to */
	uint8_t replica[RECORD_PLACES];	  /* the number of each among the chunk's replicas */
	unsigned nodes;
	bool all;	 /* these are all that may have a copy (sender.c) */
	bool replicated; /* the chunk has several replicas: a node that does not answer is given up */
	uint8_t acked;	 /* bit i: replica i has the version (sender.c) */
	bool held;	 /* it may not be sent yet (sender.c) */
	uint64_t epoch;
	uint64_t chunk;
	uint64_t version; /* the chunk's version from now on */
	uint64_t base;	  /* its version on the node, with GVM_VERSION_ZERO; 0: never written */
	bool tried;	  /* a version above `base` was sent before: the node may have that instead */
	uint32_t beyond;  /* pages behind the region's end (sender.c) */
	uint32_t pages;	  /* valid pages of data: the flush changes these on the node, and no others */
	const uint8_t *data; /* NULL: read from memory_fd, at the chunk's place */
	bool sealed;
	const struct seal_known *seals_known; /* what is known of the chunk's pages; NULL: nothing */
	bool resident;	  /* an eviction: uses these, up to `read` */
	int memory_fd;
	uint64_t seed;	  /* for the hashes */
	uint32_t known;	  /* pages of which the hash of the node's copy is known: */
	const XXH128_hash_t *hashes_known;
	XXH128_hash_t *hashes; /* filled in by the writer, for the pages that it read: */
	uint32_t read;	  /* equals `pages`, so that what is remembered as sent is what was sent */
	/* the outcome; of several nodes, 0 if any has the version now */
	int result;
	bool sent;	   /* the nodes were asked: sent_to[] */
	int sent_to[RECORD_PLACES]; /* for each: 0: it has the version; or a negative errno */
	bool clean;	   /* no page had changed, nothing was sent */
	bool all_zero;	   /* the chunk is all zero now */
	bool delta;	   /* only changed blocks were sent */
	bool raw;	   /* not compressed: its nodes will do that */
	bool base_fetched; /* the rest of a block was fetched first */
	bool loses;	   /* pages that are not here were found to be on no node any more */
	uint32_t put_bytes, raw_bytes, zero_pages;
	struct seal_known seals; /* sealed: of the pages that were sent, for seals_known */
	/* the writer's own */
	bool whole_retry; /* the node did not have our base: the whole chunk is sent */
	struct writer *writer;
	unsigned buffer;
	struct gvm_get get;
	unsigned get_from; /* the index in node[] of the node that is asked */
	unsigned unreadable; /* nodes that found the heads of their copies damaged */
	unsigned rotten;     /* nodes from which something came that does not verify, or nothing for that reason */
	bool single;	     /* pages are asked for one by one: */
	uint32_t left;	     /* those that were not asked for yet */
	struct flush_put {
		struct gvm_put put; /* first */
		struct flush *f;
		bool under_way;
	} put[RECORD_PLACES];
	unsigned puts;		/* PUTs in flight */
	bool taken;		/* one of the nodes has the version */
	uint64_t patience_ns;	/* when the nodes that have not answered are given up; 0: not at all */
	TAILQ_ENTRY(flush) waiting; /* in writer->waits, while patience_ns is set */
	struct chunk_head head;
	const uint8_t *body; /* of what was encoded, or composed */
	uint64_t encode_ns; /* what that took; 0: not measured */
	uint32_t encoded; /* pages */
	uint32_t asked;	  /* pages of the base that are being fetched */
	uint32_t fetched; /* those of them that are in the scratch buffer */
	uint32_t lost;	  /* pages that are to be sent as lost */
};

/* The chunk's index entry after a flush that succeeded: 0 if the chunk is zero and was never sent to the
 * node. */
static inline uint64_t flush_index_entry(const struct flush *f)
{
	if (f->all_zero && !f->base && !f->tried)
		return 0;
	return f->version | (f->all_zero ? GVM_VERSION_ZERO : 0);
}

/* ---- decisions, called by the writer that carries the flush out */

/* Begins a flush that has a writer and buffers. */
void flush_start(struct flush *f);
/* Of the pages that flush_env.get() asked for some are in the scratch buffer, and others are lost. */
void flush_piece(struct flush *f, uint32_t pages, uint32_t lost);
/* None of the nodes has a good copy of these. -EAGAIN, to end with: they are here, and were to go along as they are sealed. The
 * next attempt, whose version was tried before, seals all that is here. */
int flush_lacks(struct flush *f, uint32_t pages);
/* flush_env.get() has ended, with 0 or a negative errno. -EUCLEAN: no node can read its copy. */
void flush_fetched(struct flush *f, int error);
/* flush_env.send() has ended, with 0 or a negative errno. -EREMCHG: a node has another base. */
void flush_sent(struct flush *f, int error);

#endif
