/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * held.h - how many bytes the nodes hold of a region: what st_blocks shows.
 *
 * A figure is good for a second. After that a request for attributes has the nodes asked again, and
 * waits for them, since they answer at once. A region of which a node is away, or did not answer when
 * it was last asked, is shown as last known, and asked about in the background: a listing waits for
 * such a node once, however many files there are. Front thread.
 */
#ifndef GVMFS_HELD_H
#define GVMFS_HELD_H

#include "op.h"

/* Has the nodes asked if need be. Whether their answer is worth waiting for: held_wait(). */
bool held_ask(struct worker *w, struct inode *inode);
/* Answers the op, a request for attributes, when they have answered: within a second or so. */
void held_wait(struct inode *inode, struct op *op);

#endif
