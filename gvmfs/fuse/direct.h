/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * direct.h - how many reads and writes past the page cache (O_DIRECT) may wait for nodes.
 *
 * A program can begin any number of them without waiting for one (io_submit(), io_uring). Each takes one of the requests
 * that the kernel lets all regions of the mount have unanswered (ops.c), and a WRITE's data take memory of the worker. So
 * there is room for so many, and those of a node that answers none of them may take as much of it as they leave to the others:
 * however many come for a node that is dead, others are served. What is beyond that fails with ENOMEM. Of a node that does
 * answer more may wait, some for each answer: the kernel begins all pieces of one large read() or write() at once.
 *
 * The page cache's READs and WRITEs are not counted: an error of theirs is SIGBUS, or a loss.
 *
 * Front thread only.
 */
#ifndef GVMFS_DIRECT_H
#define GVMFS_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct direct_node;

struct direct {
	LIST_HEAD(, direct_node) nodes; /* that have any */
	uint64_t bytes;
	unsigned count;
};

/* Of one request; embedded. All zero: it is not counted. */
struct direct_share {
	struct direct_node *of;
	uint64_t bytes; /* 0: it is beyond the node's part */
};

void direct_init(struct direct *d);
/* Counts one for `node` with so many bytes of data. False: there is no room, or no memory. */
bool direct_begin(struct direct *d, struct direct_share *share, const void *node, size_t data_bytes, uint64_t now_ns);
/* It was answered. Does nothing if it was not counted. */
void direct_end(struct direct *d, struct direct_share *share, uint64_t now_ns);

#endif
