/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capacity.h - what the nodes of the command line lend, and what of it is free: for statfs.
 *
 * All nodes are asked at once, by one job for all who want to know meanwhile. A node that does not
 * answer within a second counts as it was when it last did, and is not waited for again until it
 * does. Front thread.
 */
#ifndef GVMFS_CAPACITY_H
#define GVMFS_CAPACITY_H

#include "options.h"

#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

struct op;
struct worker;

struct capacity {
	struct capacity_node {
		uint64_t total_bytes, free_bytes;
		bool quiet; /* it did not answer when it was last asked */
		bool again; /* another entry is the same node */
	} node[OPTIONS_NODES_MAX];
	uint64_t at_ns; /* when all had last been asked; 0: never */
	bool asking;
	struct op *askers;
};

/* Answers a statfs request: within a second or so. */
void capacity_reply(struct worker *w, fuse_req_t req);

#endif
