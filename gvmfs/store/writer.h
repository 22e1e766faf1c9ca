/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.h - the threads that encode written pages and send them to the nodes.
 *
 * The front hands a flush (flush.h) over; a writer carries it out and hands it back with the outcome. A
 * writer knows nothing of inodes, wbufs or the index.
 */
#ifndef GVMFS_WRITER_H
#define GVMFS_WRITER_H

#include "compress.h"
#include "flush.h"
#include "node/pool.h"
#include "sealed.h"

#include <pthread.h>
#include <stdatomic.h>

#define WRITER_IN_FLIGHT 16 /* flushes in flight in one thread */
#define WRITER_SHARE_MAX 12u /* of them, to one node, if there are others */
#define WRITER_BUFFERS	 4u /* of each flush; untouched ones take no memory */

/* Shared by the front and its writers. The front takes no lock that a writer may hold: others, too, may want the CPU that such a
 * writer waits for. */
struct flush_queue {
	struct flush *_Atomic added;	 /* the last one first */
	struct flush *_Atomic finished;	 /* outcomes, in no order */
	int finished_fd;		 /* readable when there are outcomes */
	_Atomic uint64_t round; /* times that the front has looked */
	_Atomic uint64_t told;	/* 1 and the last of these after which it was told of outcomes */
	pthread_mutex_t lock;		 /* the writers': */
	struct flush *todo, **todo_tail; /* what was added, and no writer has taken yet */
};

struct writer {
	const struct options *opts;
	struct flush_queue *queue;
	struct pool pool;
	struct chunk_codec *codec;
	struct sealer *sealer; /* NULL: the mount does not seal */
	struct compress compress;
	int wake_fd;
	struct loop_source woken;
	struct loop loop;
	pthread_t thread;
	atomic_int tid;	 /* 0 while the thread is starting */
	atomic_int nice; /* the thread's niceness, or what it will have once it runs */
	unsigned in_flight;
	unsigned widest; /* the most nodes that one of them goes to, or of those since there last were none */
	TAILQ_HEAD(flush_waits, flush) waits; /* flushes that can do without a node that does not answer */
	/* For these flushes: when a node last answered; when the first of them after that was sent
	 * to several nodes; and until when no node is given up, since all were silent. */
	uint64_t heard_ns, asked_ns, spared_ns;
	/* When this thread last was seen to run, when it is to run again, when it last took all answers that had come, and until
	 * when no node is given up since the thread had stood still. */
	uint64_t awake_ns, due_ns, heard_all_ns, stalled_ns;
	/* The node that was given up last, and how many bytes it had sent by then: until it sends
	 * more, no flush waits for it if another node has taken or can answer the request. */
	struct gvm_id silent;
	uint64_t silent_received;
	uint32_t buffers_free;
	uint8_t *buffers; /* WRITER_IN_FLIGHT x WRITER_BUFFERS (body, scratch, and two of room[]) x GVM_CHUNK_BYTES */
	struct chunk_parts room[WRITER_IN_FLIGHT]; /* sealed: the blocks fetched from the node */
};

/* 0 or a negative errno. */
int flush_queue_init(struct flush_queue *q);
void flush_queue_add(struct flush_queue *q, struct flush *f);
/* Takes all outcomes: a list, or NULL. */
struct flush *flush_queue_finished(struct flush_queue *q);

/* Starts a writer on a queue: 0 or a negative errno. */
int writer_start(struct writer *wr, const struct options *opts, uint64_t client,
		 struct flush_queue *queue);
/* What its thread does again and again: begins what the queue has and there is room for, and gives up nodes that are
 * silent. Returns when it is to be called again if nothing happens before (LOOP_NEVER: no matter). */
uint64_t writer_turn(struct writer *wr);
/* Sets the thread's niceness. */
void writer_nice(struct writer *wr, int nice);
/* The queue has work. */
void writer_wake(struct writer *wr);

#endif
