/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shares.h - whether a part of a region is better on another node, so that nodes are taken in equal proportion. Pure code.
 *
 * A move goes to a node that is far below the mean, from one above it, and leaves that one the fuller of the two, but for a
 * quarter of what moves. So each move brings two nodes nearer to each other, and none is undone by the next: the sum of the
 * squares of what is taken of the nodes, by their room, falls. It ends where the emptiest node is nearly at the mean, or no
 * part is small enough.
 */
#ifndef GVMFS_SHARES_H
#define GVMFS_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#define SHARES_FAR 85u /* percent of the mean: a node below it is given something */

struct share {
	uint64_t taken, room; /* bytes promised to regions, and that can be; room 0: the node does not count */
};

/* Of two nodes, by what is taken of their room. */
bool shares_fuller(struct share a, struct share b);

/* The node that is farthest below the mean; -1: none is far. */
int shares_emptiest(const struct share *of, unsigned count);

/* Whether `bytes` should move from one node to another. */
bool shares_move(const struct share *of, unsigned count, unsigned from, unsigned to, uint64_t bytes);

#endif
