/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - the threads that encode written pages and send them to the nodes.
 *
 * The front hands a flush (flush.h) over; a writer carries it out and hands it back with the outcome. A
 * writer knows nothing of inodes, slots or the index.
 */
#ifndef GVMFS_WRITER_H
#define GVMFS_WRITER_H

#include "flush.h"
#include "node/pool.h"
#include "sealed.h"

#include <pthread.h>

#define WRITER_IN_FLIGHT 16 /* flushes in flight in one thread */
#define WRITER_BUFFERS	 4u /* of a flush; what is not used takes no memory */
#define WRITERS_MAX	 8

/* Shared by the front and its writers. */
struct flush_queue {
	pthread_mutex_t lock;
	struct flush *todo, **todo_tail; /* lock */
	struct flush *finished;		 /* lock: outcomes, in no order */
	int finished_fd;		 /* readable when there are outcomes */
};

struct writer {
	const struct options *opts;
	struct flush_queue *queue;
	struct pool pool;
	struct chunk_codec *codec;
	struct sealer *sealer; /* NULL: the mount does not seal */
	int wake_fd;
	struct loop_source woken;
	struct loop loop;
	pthread_t thread;
	pid_t tid; /* the queue's lock: 0 while the thread is starting */
	int nice;  /* the queue's lock: the thread's niceness, or what it will have once it runs */
	unsigned in_flight;
	TAILQ_HEAD(flush_waits, flush) waits; /* flushes that wait for one of several nodes */
	/* Of such flushes: when a node was last heard of, the first was sent to several after that, and until when none is given
	 * up since all were silent. */
	uint64_t heard_ns, asked_ns, spared_ns;
	/* The node that was given up last, and what it had sent by then: until it sends more nothing waits for it that others
	 * have, or can give. */
	struct gvm_id silent;
	uint64_t silent_received;
	uint32_t buffers_free;
	uint8_t *buffers; /* WRITER_IN_FLIGHT x WRITER_BUFFERS (body, scratch, and two of room[]) x GVM_CHUNK_BYTES */
	struct chunk_parts room[WRITER_IN_FLIGHT]; /* sealed: what came of the node's chunk */
};

/* 0 or a negative errno. */
int flush_queue_init(struct flush_queue *q);
void flush_queue_add(struct flush_queue *q, struct flush *f);
/* Takes all outcomes: a list, or NULL. */
struct flush *flush_queue_finished(struct flush_queue *q);

/* Starts a writer on a queue: 0 or a negative errno. */
int writer_start(struct writer *wr, const struct options *opts, uint64_t client,
		 struct flush_queue *queue);
/* Sets how far the thread yields the CPU to others; 0: not. */
void writer_nice(struct writer *wr, int nice);
/* The queue has work. */
void writer_wake(struct writer *wr);

#endif
