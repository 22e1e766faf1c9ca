/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - the threads that encode what was written and send it to the nodes.
 *
 * The front hands over a flush (flush.h); a writer carries it out and hands it back with the outcome. It
 * knows nothing of inodes, slots or the index.
 */
#ifndef GVMFS_WRITER_H
#define GVMFS_WRITER_H

#include "flush.h"
#include "node/pool.h"

#include <pthread.h>

#define WRITER_IN_FLIGHT 16 /* flushes under way in one thread */
#define WRITERS_MAX	 8

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
	int wake_fd;
	struct loop_source woken;
	struct loop loop;
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
