/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * index_read.h - which chunks of a region a node has, and in which versions: a conversation of a job's fiber.
 */
#ifndef GVMFS_INDEX_READ_H
#define GVMFS_INDEX_READ_H

#include "state/record.h"

#include <stdint.h>

struct pool;

/* `version` has GVM_VERSION_ZERO; the chunk may lie beyond the region's end. */
typedef void index_read_fn(void *arg, uint64_t chunk, uint64_t version);

/* Tells `each` all that the node lists. `request_ns`: how long an answer may take; 0: as long as any other's. 0, or -errno:
 * then some may have been told. */
int index_read(struct pool *pool, const struct record_node *node, const struct gvm_id *region, uint64_t request_ns,
	       index_read_fn *each, void *arg);

#endif
