/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writers.h - all writers (writer.h) of a worker, and the queue between them and the front thread: whichever store
 * has something to send gives it here, and gets it back with the outcome.
 *
 * Front thread only.
 */
#ifndef GVMFS_WRITERS_H
#define GVMFS_WRITERS_H

#include "writer.h"

struct writers {
	struct flush_queue queue;
	struct writer writer[WRITERS_MAX];
	unsigned count, next;
};

/* Starts them, as many as the options say: 0 or a negative errno. */
int writers_init(struct writers *ws, const struct options *opts, uint64_t client);
/* Sends a flush; it comes back by f->done(), from writers_collect(). */
void writers_send(struct writers *ws, struct flush *f);
/* Hands back what has come back. */
void writers_collect(struct writers *ws, struct worker *w);
/* Whether they leave the CPU to the front thread, since something waits there for pages. */
void writers_yield(struct writers *ws, bool yield);

#endif
