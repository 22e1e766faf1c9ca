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
};

/* Starts as many writers as the options say: 0 or a negative errno. */
int writers_init(struct writers *ws, const struct options *opts, uint64_t client);
/* Hands a flush over; writers_collect() calls its done() later. */
void writers_send(struct writers *ws, struct flush *f);
/* Calls done() of each flush that has come back. */
void writers_collect(struct writers *ws, struct worker *w);
/* Whether writers yield the CPU to the front thread, which serves the faults of the fast path. */
void writers_yield(struct writers *ws, bool yield);

#endif
