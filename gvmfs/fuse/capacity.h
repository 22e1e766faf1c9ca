/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capacity.h - how much memory the nodes of the command line lend, and how much of it is free: for
 * statfs.
 *
 * One job asks all nodes at once, for all callers that come meanwhile. A node that does not answer
 * within a second counts with the figures of its last answer, and is given hardly any time until it
 * answers again. What is kept for copies that are made anew (room.h) is free, but not available. Front thread.
 */
#ifndef GVMFS_CAPACITY_H
#define GVMFS_CAPACITY_H

#include "node/shares.h"
#include "options.h"

#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct op;
struct worker;

struct capacity {
	struct capacity_node {
		struct share share; /* as it was last told */
		bool quiet; /* it did not answer the last request */
		bool again; /* another entry names the same node */
	} node[OPTIONS_NODES_MAX];
	uint64_t at_ns; /* when all nodes had last been asked; 0: never */
	bool asking;
	STAILQ_HEAD(, op) askers;
};

void capacity_init(struct capacity *c);
/* Answers a statfs request: within a second or so. */
void capacity_reply(struct worker *w, fuse_req_t req);

#endif
