/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ask.h - one request to a node, made by a job's fiber, and its answer.
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

/* To a region's node: fails if another node has its address by now. */
static inline struct gvm_call *ask_begin_to(struct ask *ask, uint64_t deadline_ns, const struct record_node *node)
{
	ask_begin(ask, deadline_ns);
	ask->call.req.node = node->incarnation;
	return &ask->call;
}

/* Asks for several nodes at a time, so that one deadline covers all that do not answer. NULL: no memory; free() it. */
static inline struct ask *asks_make(unsigned count)
{
	return (struct ask *)calloc(count ? count : 1, sizeof(struct ask));
}

/* Waits for one of them and returns its result; -ENOMEM: it was never begun. */
static inline int ask_wait(struct ask *ask)
{
	return ask->call.req.done ? pool_wait(ask->call.req.conn, &ask->call.req) : -ENOMEM;
}

#endif
