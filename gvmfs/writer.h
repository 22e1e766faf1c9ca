/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - the threads that encode what was written and send it to the nodes.
 *
 * The front hands over a flush: a sealed slot's pages, which do not change any more, and where they
 * belong. A writer completes blocks of which only some pages were written (it fetches the others),
 * encodes, sends a PUT of the whole chunk or of the changed blocks, and hands the flush back with
 * the outcome. A writer knows nothing of inodes, slots or the index.
 */
#ifndef GVMFS_WRITER_H
#define GVMFS_WRITER_H

#include "codec.h"
#include "gvm_client.h"
#include "pool.h"
#include "record.h"

#include <pthread.h>

#define WRITER_IN_FLIGHT 16 /* flushes under way in one thread */
#define WRITERS_MAX	 8

struct writer;

struct flush {
	struct flush *next;
	/* set by the front */
	struct gvm_id region;
	struct record_node node;
	uint64_t epoch;
	uint64_t chunk;
	uint64_t version; /* that the chunk shall have */
	uint64_t base;	  /* that it has on the node, with GVM_VERSION_ZERO; 0: never written */
	uint32_t pages;	  /* valid pages of data */
	const uint8_t *data;
	/* the outcome */
	int result;
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
/* There is something to do in the queue. */
void writer_wake(struct writer *wr);

#endif
