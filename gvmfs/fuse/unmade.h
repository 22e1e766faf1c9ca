/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unmade.h - takes back names whose making failed.
 *
 * A new name that too few nodes took is no name, and its maker was told so. But a node may hold its
 * record, or get it yet, and it must not appear when the others are back. So a tombstone follows,
 * and is tried again, one name at a time, until enough nodes have it. Until then the inode stays,
 * unlinked. A mount that ends first leaves it at that. Front thread.
 */
#ifndef GVMFS_UNMADE_H
#define GVMFS_UNMADE_H

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct op;
struct worker;

struct unmade {
	struct op *first, **last;
	unsigned count;
	bool saving;	/* the first one's tombstone */
	uint64_t at_ns; /* it is tried again */
};

void unmade_init(struct unmade *u);
/* Takes back what `op`, which holds the inode and has answered, was to make; ends the op then. */
void unmade_add(struct op *op);
/* Goes on with what a predecessor has not been able to take back, or to delete for good. */
void unmade_adopt(struct worker *w, struct inode *inode);
/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: not. */
uint64_t unmade_tick(struct worker *w, uint64_t now_ns);

#endif
