/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - the threads that encode what was written and send it to the nodes.
 *
 * The front hands over a flush: a sealed slot's pages, which do not change any more, and where they
 * belong. A writer completes blocks of which only some pages were written (it fetches the others),
 * encodes, sends a PUT of the whole chunk or of the changed blocks, and hands the flush back with
 * the outcome. A chunk that is evicted from the fast path (resident.h) is read out of its memory
 * first, and only the pages count that differ from what the node has, by their hashes. A writer
 * knows nothing of inodes, slots or the index.
 */
#ifndef GVMFS_WRITER_H
#define GVMFS_WRITER_H

#include "codec.h"
#include "gvm_client.h"
#include "node/pool.h"
#include "state/record.h"

#include <pthread.h>
#include <xxhash.h>

#define WRITER_IN_FLIGHT 16 /* flushes under way in one thread */
#define WRITERS_MAX	 8

struct worker;
struct writer;

struct flush {
	struct flush *next;
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
	struct writer *writer;
	unsigned buffer;
	bool whole_retry; /* the node did not have the base as we know it: fetch all, send all */
	struct gvm_get get;
	struct gvm_put put;
	struct chunk_head head;
	uint32_t fetched; /* pages decoded into the scratch buffer */
};

/* The index's entry for a chunk whose flush succeeded: 0 if it is zero and the node never heard of it. */
static inline uint64_t flush_index_entry(const struct flush *f)
{
	if (f->all_zero && !f->base && !f->tried)
		return 0;
	return f->version | (f->all_zero ? GVM_VERSION_ZERO : 0);
}

/* What the front and its writers share. */
struct flush_queue {
	pthread_mutex_t lock;
	struct flush *todo, **todo_tail; /* lock */
	struct flush *finished;		 /* lock: outcomes, in no order */
	int finished_fd;		 /* tells the front of outcomes */
};

struct writer {
	const struct options *opts;
	struct flush_queue *queue;
	struct pool pool;
	struct chunk_codec *codec;
	int epoll_fd, wake_fd;
	pthread_t thread;
	pid_t tid; /* the queue's lock: 0 while it is just starting */
	int nice;  /* the queue's lock: that it has, or will have then */
	unsigned in_flight;
	uint32_t buffers_free;
	uint8_t *buffers; /* WRITER_IN_FLIGHT x (body, scratch), GVM_CHUNK_BYTES each */
};

/* 0 or a negative errno. */
int flush_queue_init(struct flush_queue *q);
void flush_queue_add(struct flush_queue *q, struct flush *f);
/* Takes all outcomes: a list, or NULL. */
struct flush *flush_queue_finished(struct flush_queue *q);

/* Starts a writer on a queue: 0 or a negative errno. */
int writer_start(struct writer *wr, const struct options *opts, uint64_t client,
		 struct flush_queue *queue);
/* Lets others have the CPU first, or not (0). */
void writer_nice(struct writer *wr, int nice);
/* There is something to do in the queue. */
void writer_wake(struct writer *wr);

#endif
