/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask.h - one request of a job's fiber, and its answer.
 */
#ifndef GVMFS_ASK_H
#define GVMFS_ASK_H

#include "pool.h"

#include <errno.h>
#include <stdlib.h>

struct ask {
	struct gvm_call call;
	bool done;
};

static inline uint64_t ns_from_now(uint64_t ns)
{
	return gvm_now_ns() + ns;
}

static inline struct gvm_call *ask_begin(struct ask *ask, uint64_t deadline_ns)
{
	*ask = (struct ask){
		.call.req = { .done = pool_done, .arg = &ask->done, .deadline_ns = deadline_ns }
	};
	return &ask->call;
}

/* Of a region's node, and no other that may have its address by now. */
static inline struct gvm_call *ask_begin_to(struct ask *ask, uint64_t deadline_ns, const struct record_node *node)
{
	ask_begin(ask, deadline_ns);
	ask->call.req.node = node->incarnation;
	return &ask->call;
}

/* Several at a time, of different nodes: those that do not answer are waited for once. */
static inline struct ask *asks_make(unsigned count)
{
	return (struct ask *)calloc(count ? count : 1, sizeof(struct ask));
}

/* The outcome of one of them; of one that could not be begun, -ENOMEM. */
static inline int ask_wait(struct ask *ask)
{
	return ask->call.req.done ? pool_wait(ask->call.req.conn, &ask->call.req) : -ENOMEM;
}

#endif
