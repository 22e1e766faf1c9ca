/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balance.h - moves parts of regions that are open for writing to a node that is much emptier than the others, such
 * as one that was just added (shares.h).
 *
 * Every few seconds the mount asks its nodes how much they have promised. If one is far below the mean, it picks a
 * region of which some of what is on a fuller node should move there: as many slots as bring the two together, so that one large
 * region spreads to a new node. drain.h moves them, as from a node that is drained; replace.h checks once more before, and has
 * the source forget afterwards what it has of them. One region at a time, and none while any slot is degraded.
 *
 * Several mounts may find the same node empty at the same moment. The check in replace.h sees what the other mount has
 * reserved there, unless both check at once.
 *
 * Front thread.
 */
#ifndef GVMFS_BALANCE_H
#define GVMFS_BALANCE_H

#include "options.h"
#include "shares.h"
#include "state/record.h"

struct inode;
struct replicas;
struct worker;

/* A part of a region that is to move. */
struct balance_pick {
	struct gvm_id region; /* all zero: nothing is to move */
	struct gvm_id from, to; /* nodes */
	unsigned count; /* how many of its slots */
};

struct balance {
	struct share share[OPTIONS_NODES_MAX]; /* of the mount's nodes, by their last answers */
	unsigned asked;	  /* answers that are still missing, and 1 while there are nodes to be asked: */
	bool asking;
	unsigned ask_at;  /* of the pool: the next node to be asked */
	unsigned looks;	  /* regions that are still to be looked at, now that all have answered */
	uint64_t due_ns;  /* the nodes are not asked again before this time */
	struct balance_pick pick;
	unsigned pick_at; /* how many of the attached regions this round has looked at: it goes on after them */
};

/* Asks some of the nodes if that is due, and looks at a region when all have answered. Returns when to call it again (~0:
 * never). */
uint64_t balance_poll(struct worker *w, uint64_t now_ns);
/* The move of the picked region has ended: clears the pick, and makes the next due soon. */
void balance_again(struct worker *w, uint64_t now_ns);

/* Whether the region is picked: then it needs a struct replicas. */
bool balance_picks(const struct worker *w, const struct inode *inode);
/* How many replicas of the region are to move now; 0: none, or a move may not begin. *wanted: they, as bits of each
 * slot; *pick: from where to where. Both may be NULL. */
unsigned balance_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS], struct balance_pick *pick);

#endif
