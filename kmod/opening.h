/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a home takes its share of a region into use, and as what.
 *
 * A home that joins a region has an empty directory: all its pages are zero. That is right for a
 * region that nobody has used. But a home that was part of it before, and left or began anew, has
 * lost what it had: to others its zeros would be contents. It cannot know which it is. So its share
 * is closed at first (ivy_open()), and it serves no page, until it is told by a node that has
 * joined the region for its own use, and so asks every home:
 *
 *	all are closed			nobody can have used the region: zeros
 *	that node has seen all open	who is closed was here before: lost
 *	some are open, others not	either another node is opening them just now, or they
 *					were here before: lost, after some patience
 *
 * Only a share that is closed, and so has served nobody, takes what it is told; and what a node has
 * told one it repeats whenever that answers that it is closed. What goes wrong in between makes, as
 * a rule, pages count as lost that nobody has used. It does not hold yet where all homes begin anew
 * at once: then the first rule takes them for new, though other nodes may still use the region.
 */
#ifndef GVM_OPENING_H
#define GVM_OPENING_H

#include <linux/types.h>

#include "frame.h"

struct gvm_region;

/* What this node knows of one home's share. */
struct home_share {
	u64 token; /* of the region there: another each time that it is joined */
	u8 share; /* enum region_share */
	u8 told; /* how this node has told it to open, or 0 */
};

/* Under region->lock. */
struct opening {
	/* By place in the list, until the region is freed; NULL: no use of this node's own. */
	struct home_share *homes;
	bool used; /* some share was open: no other is zeros that this node opens */
	bool once; /* all were */
	u64 since_ns; /* some are, others are not */
};

/* This node joins for its own use: from now on it opens shares. 0 or -ENOMEM. */
int opening_begin(struct gvm_region *region);
/* A home's answer. */
void opening_answer(struct gvm_region *region, unsigned int home, enum region_share share,
		    u64 token);
void opening_tick(struct gvm_region *region);

/* What an offer of this node says of all shares: SHARE_OPEN, or SHARE_UNKNOWN. */
enum region_share opening_offer(struct gvm_region *region);
/* What this node is told of its own. */
void opening_take(struct gvm_region *region, enum region_share share, u64 token);
/* This node's own share; SHARE_UNKNOWN: it is no home. */
enum region_share opening_own(struct gvm_region *region);

#endif
