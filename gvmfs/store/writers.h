/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writers.h - all writers (writer.h) of a worker, and the queue between them and the front thread:
 * the store and the fast path hand their flushes over (sender.h), and get them back with the
 * outcome.
 *
 * Front thread only.
 */
#ifndef GVMFS_WRITERS_H
#define GVMFS_WRITERS_H

#include "options.h"
#include "writer.h"

struct writers {
	struct flush_queue queue;
	struct writer writer[OPTIONS_WRITERS_MAX];
	unsigned count, next;
	bool yields;	 /* writers_yield() */
	bool may_return; /* writer_may_return() */
	enum writer_yield yield;
	uint64_t calm_ns;   /* when, without hurry until then, they leave all to others */
	uint64_t held_ns;   /* how long that took last */
	unsigned under_way; /* flushes */
	uint64_t moved_ns;  /* when the last of them came back, or the first was handed over */
	uint64_t slow_ns;   /* moved_ns, when that was too long ago last */
};

/* Starts as many writers as the options say: 0 or a negative errno. */
int writers_init(struct writers *ws, const struct options *opts, uint64_t client);
/* Hands a flush over; writers_collect() calls its done() later. */
void writers_send(struct writers *ws, struct flush *f);
/* Calls done() of each flush that has come back. */
void writers_collect(struct writers *ws, struct worker *w);
/* Whether writers yield the CPU to the front thread, which serves the faults of the fast path: most
 * of it and, while nothing waits for what is evicted, all. */
void writers_yield(struct writers *ws, bool yield);
/* Something waits for a writer. (Each flush of the store is waited for.) */
void writers_hurry(struct writers *ws);

#endif
