/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * held.h - how many bytes the nodes hold of a region: st_blocks shows it.
 *
 * A figure is valid for a second. After that a request for attributes asks the nodes again and waits
 * for them, since they answer at once. If one of those that are asked is away, or did not answer last
 * time, the last known figure is shown, and the nodes are asked in the background: so a listing waits
 * for such a node once, however many files there are.
 *
 * What looks at one file after the other is a listing: then the nodes are asked about the files beside it as well, and
 * it finds their figures fresh. Only a file that this host left empty is always asked about by itself, since it may have
 * content in a moment.
 *
 * There is room for so many questions at a time. What waits for one node takes as much of it as it leaves to the others, at
 * the most; what finds no room shows the last known figure.
 *
 * Front thread.
 */
#ifndef GVMFS_HELD_H
#define GVMFS_HELD_H

#include "node/pool.h"
#include "op.h"

struct held {
	unsigned asking;	    /* regions that the nodes are being asked about */
	uint16_t of[POOL_CONNS_MAX]; /* of these, by entry of the front's pool */
	uint64_t asked_ns;	    /* when it last asked, or got an answer */
};

/* Asks the nodes if need be. Returns whether to wait for their answer, with held_wait(). */
bool held_ask(struct worker *w, struct inode *inode);
/* Answers the op, a request for attributes, when the nodes have answered: within a second or so. */
void held_wait(struct inode *inode, struct op *op);

#endif
