/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shares.h - whether a part of a region should move to another node, so that all nodes are filled in equal proportion; and how
 * much of each is kept for copies that are made anew. Pure code.
 *
 * A move goes from a node above the mean to one far below it, and must leave the source at least as full as the target,
 * give or take a quarter of what moves. So each move brings the two nodes closer, and no later move undoes it: the sum
 * of the squares of the nodes' fill (taken / room) falls. Moves end when the emptiest node is nearly at the mean, or no
 * part is small enough.
 *
 * Regions get no more of a node than leaves a share of it free: the same share of all, so large that what is free of the others
 * has room for all that the largest has. A node that is lost with what regions have of it can then be done without, and with
 * copies of which no node has two there is room for each beside the other, since all are filled in proportion.
 */
#ifndef GVMFS_SHARES_H
#define GVMFS_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#define SHARES_FAR 85u /* percent of the mean: a node below this is far below it */

struct share {
	uint64_t taken, room; /* bytes promised to regions, and promisable at all; room 0: the node does not count */
};

/* What a node says of itself, in bytes. A node whose figures are beyond reason does not count. */
struct share share_told(uint64_t taken, uint64_t room);

/* How much of each node is kept, of its room: `percent`; or (SHARES_KEEP) as much as the loss of one needs where there are several
 * `copies` and more nodes than that, else nothing. `silent`: so many more nodes are there whose room is not known: each as large
 * as the largest. */
#define SHARES_KEEP 100u
#define SHARES_SPARE 64u /* a part of each node is added to that: for tables, and since a slot goes to a node as a whole */
void shares_keep(const struct share *of, unsigned count, unsigned silent, unsigned copies, unsigned percent, uint64_t *kept);

/* Whether `a` is fuller than `b`, in proportion to their room. */
bool shares_fuller(struct share a, struct share b);

/* The node that is farthest below the mean; -1: none is far below it. */
int shares_emptiest(const struct share *of, unsigned count);

/* Whether a part of `bytes` should move from node `from` to node `to`. */
bool shares_move(const struct share *of, unsigned count, unsigned from, unsigned to, uint64_t bytes);

/* Of a part that can move in pieces of `bytes`, at most `max` of them: how many should. The source stays at the mean, or above. */
unsigned shares_move_some(const struct share *of, unsigned count, unsigned from, unsigned to, uint64_t bytes, unsigned max);

#endif
