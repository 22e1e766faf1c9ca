/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unmade.h - takes back names whose creation failed.
 *
 * If too few nodes took a new name it does not exist, and its creator got an error. But a node may
 * hold its record, or get it yet, and the name must not appear when the other nodes are back. So
 * gvmfs saves a tombstone, and tries again, one name at a time, until enough nodes have it. Until
 * then the inode stays, unlinked. A mount that ends first gives up. Front thread.
 */
#ifndef GVMFS_UNMADE_H
#define GVMFS_UNMADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct inode;
struct op;
struct worker;

struct unmade {
	STAILQ_HEAD(, op) names; /* their ops, in their order */
	unsigned count;
	bool saving;	/* the tombstone of the first op is being saved */
	uint64_t at_ns; /* when to try again */
};

void unmade_init(struct unmade *u);
/* Takes back what `op` was to create; the op holds the inode and has answered. Ends the op
 * afterwards. */
void unmade_add(struct op *op);
/* Goes on with a name that a predecessor has not been able to take back, or to delete. */
void unmade_adopt(struct worker *w, struct inode *inode);
/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), or ~0. */
uint64_t unmade_tick(struct worker *w, uint64_t now_ns);

#endif
