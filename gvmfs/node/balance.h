/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balance.h - regions that are open for writing give of what they have to a node that is much emptier than the others,
 * such as one that was just added (shares.h).
 *
 * The mount asks its nodes now and then how much of them is promised. Where one is far below the mean, a region is picked
 * whose part on a fuller node, as a whole, makes it better; drain.h moves it, as from a node that is to be emptied, and
 * replace.h looks once more before. One region at a time, and none while a copy lacks anywhere.
 *
 * Several mounts may take the same node for empty in the same second: the promises of the first to move are in the second's
 * last look, but for a moment.
 *
 * Front thread.
 */
#ifndef GVMFS_BALANCE_H
#define GVMFS_BALANCE_H

#include "options.h"
#include "replicas.h"
#include "shares.h"

/* A part of a region that is to move. */
struct balance_pick {
	struct gvm_id region; /* none: nothing is to move */
	struct gvm_id from, to; /* nodes */
};

struct balance {
	struct share share[OPTIONS_NODES_MAX]; /* of the mount's nodes, as they told last */
	unsigned asked;	  /* so many have not answered yet */
	uint64_t due_ns;  /* before it they are not asked again */
	struct balance_pick pick;
	unsigned pick_at; /* of the attached regions: the next is behind that one */
};

/* Asks the nodes, and picks: when next. */
uint64_t balance_poll(struct worker *w, uint64_t now_ns);
/* One is over: soon is another. */
void balance_again(struct worker *w, uint64_t now_ns);

/* The region is picked: it needs a struct replicas. */
bool balance_picks(const struct worker *w, const struct inode *inode);
/* Replicas that are to move, as bits of each slot, if a move may begin now: how many. *pick: where to. NULL: whether there
 * are any. */
unsigned balance_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS], struct balance_pick *pick);

#endif
