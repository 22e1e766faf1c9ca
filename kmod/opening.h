/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a home takes its share of a region into use, and as what.
 *
 * A home that joins a region has an empty directory: all its pages are zero. That is right for a
 * region that has just been created. But a home that was part of it before, and left or began anew,
 * has lost what it had: to others its zeros would be contents. It cannot know which it is. So its
 * share is closed at first (ivy_open()), and it serves no page, until another node tells it:
 *
 *	zeros	by the region's creator alone, and to each home but once, whatever becomes of it:
 *		so no home has been open before that is told so
 *	lost	by whoever knows that the region is complete, which is: each home's share has been
 *		open once. So has one that is closed, which then has lost it
 *
 * Once complete, always complete: it does not matter when, or in which order, nodes get to know it.
 * They hear it with each other's offers and answers, or have seen every share open themselves.
 *
 * This holds for one region. Who creates another under its name gives it another id, and nothing
 * that was said, granted or leased in the one has a meaning in the other. A creator that is lost
 * before its region is complete leaves one that never will be, which others cannot join; the homes
 * let go of it when that node creates another under its name (agree.h).
 */
#ifndef GVM_OPENING_H
#define GVM_OPENING_H

#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "frame.h"

struct gvm_peer;
struct gvm_region;

/* What this node knows of one home's share, its own too. */
struct home_share {
	u64 token; /* of the region there: another each time that it is joined */
	u8 share; /* enum region_share: as it said last; unknown since a connection was made */
	u8 told; /* how this node has told it to open, under that token; or SHARE_UNKNOWN */
	bool zeros; /* once, under whichever token, this node has told it zeros */
	bool refused; /* it has another region of that name, or takes none; since it was doubted */
};

/* Under region->lock. */
struct opening {
	struct home_share *homes; /* by place in the list; NULL: this node has no use of its own */
	unsigned int nr_open; /* of these, that have said so */
	bool creates; /* this node is the region's creator */
	bool complete; /* each share has been open once */
	bool spoilt; /* the creator had to tell a home that it has lost its share, before that */
	bool announced; /* the creator has said so to the homes */
	struct delayed_work work; /* offers it again to homes that are not known to be open */
	unsigned int again_ms; /* and how long after the last time */
};

/* Of all regions: where callers wait for answers about shares, their own node's too. */
extern wait_queue_head_t gvm_opening_news;

void gvm_opening_init(struct gvm_region *region);
/* The region has been left: nothing of it is offered any more. */
void gvm_opening_end(struct gvm_region *region);

/* This node joins for its own use, or creates. 0 or -ENOMEM. Under the device's mutex. */
int gvm_opening_begin(struct gvm_region *region, bool creates);
/* Somebody says that each share has been open once. */
void gvm_opening_complete(struct gvm_region *region);
/* Whether this node knows that. */
bool gvm_opening_completed(const struct gvm_region *region);
/* Whether every home has answered, if only that it is closed. */
bool gvm_opening_answered(struct gvm_region *region);
/* Whether every share is open, as far as this node has heard; and whether that one is. */
bool gvm_opening_ended(const struct gvm_region *region);
bool gvm_opening_lacks(struct gvm_region *region, unsigned int home);
/* A new region that is not all zeros any more, before anybody has used it. */
bool gvm_opening_spoilt(const struct gvm_region *region);
/* A home's answer, of this very region. */
void gvm_opening_answer(struct gvm_region *region, unsigned int home,
			const struct region_frame *answer);
/* A home's answer that is no share of this region. Whether that is news. */
bool gvm_opening_refused(struct gvm_region *region, unsigned int home);
/*
 * What a home has said may not be so any more: there is a new connection, or it does not answer
 * faults. It is asked again, for as long as a connection stands.
 */
void gvm_opening_doubt(struct gvm_region *region, u16 home);

/* What this node is told of its own share, of the region that has that token here. */
void gvm_opening_take(struct gvm_region *region, enum region_share share, u64 token);
/* This node's own share; SHARE_UNKNOWN: it is no home. */
enum region_share gvm_opening_own(const struct gvm_region *region);

#endif
