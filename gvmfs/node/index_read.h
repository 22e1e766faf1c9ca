/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * index_read.h - reads from a node which chunks of a region it has, and their versions. In a job's fiber.
 */
#ifndef GVMFS_INDEX_READ_H
#define GVMFS_INDEX_READ_H

#include "ask.h"
#include "state/record.h"

#include <stdint.h>

/* `version` may have GVM_VERSION_ZERO; `chunk` may be beyond the region's end. */
typedef void index_read_fn(void *arg, uint64_t chunk, uint64_t version);

/* Calls `each` for every chunk that the node lists. `request_ns`: how long one answer may take; 0: the usual deadline
 * (pool_call_deadline()). 0 or a negative errno: then `each` may have been called for some. */
int index_read(struct pool *pool, const struct record_node *node, const struct gvm_id *region, uint64_t request_ns,
	       index_read_fn *each, void *arg);

/* The same in two steps, so that several nodes are asked at a time. Each that was begun has to be waited for. */
struct index_read {
	struct ask ask; /* first */
	struct pool *pool;
	const struct record_node *node;
	const struct gvm_id *region;
	uint64_t request_ns;
	index_read_fn *each;
	void *arg;
	uint64_t next;
	int error;
};

void index_read_begin(struct index_read *ir, struct pool *pool, const struct record_node *node, const struct gvm_id *region,
		      uint64_t request_ns, index_read_fn *each, void *arg);
int index_read_wait(struct index_read *ir);

#endif
