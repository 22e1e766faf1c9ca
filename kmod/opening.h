/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a home opens its share of a region, and with which contents.
 *
 * A home that joins a region has an empty directory: all its pages are zero. That is right for a
 * region that has just been created. But a home that was part of the region before, and left or
 * began anew, has lost its pages: its zeros would silently replace their contents. The home cannot
 * tell the two cases apart. So its share is closed at first (ivy_open()), and it serves no page,
 * until another node tells it how to open:
 *
 *	zeros	told by the region's creator alone, and to each home only once, even if that home
 *		begins anew: so a home that is told zeros has never been open before
 *	lost	told by any node that knows the region to be complete, that is, that each home's
 *		share has been open once: a share that is closed then has lost its pages
 *
 * Once complete, a region stays complete: nodes may learn it at any time and in any order. They
 * learn it from each other's offers and answers, or by seeing every share open themselves.
 *
 * All this concerns one region. Another region created under its name has another id, and no
 * message, grant or lease of the one is valid in the other. If a creator is lost before its region
 * is complete, the region never will be, and other nodes cannot join it; the homes leave it when
 * that node creates another under its name (agree.h).
 */
#ifndef GVM_OPENING_H
#define GVM_OPENING_H

#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "frame.h"

struct gvm_peer;
struct gvm_region;

/* Callers wait here for answers about shares, of any region. */
extern wait_queue_head_t gvm_opening_news;

void gvm_opening_init(struct gvm_region *region);
/* The region has been left: this node does not offer it any more. */
void gvm_opening_end(struct gvm_region *region);

/* A user of this node joins the region, or creates it. 0 or -ENOMEM. Under the device's mutex. */
int gvm_opening_begin(struct gvm_region *region, bool creates);
/* A frame says that the region is complete. */
void gvm_opening_complete(struct gvm_region *region);
/* Whether this node knows the region to be complete. */
bool gvm_opening_completed(const struct gvm_region *region);
/* Whether every home has answered, if only that its share is closed. */
bool gvm_opening_answered(struct gvm_region *region);
/* Whether every share is known to be open. */
bool gvm_opening_ended(const struct gvm_region *region);
/* Whether that home's share is not known to be open. */
bool gvm_opening_lacks(struct gvm_region *region, unsigned int home);
/* Whether a new region has lost a share before it was complete: it is no longer all zeros. */
bool gvm_opening_spoilt(const struct gvm_region *region);
/* A home answered with this very region. */
void gvm_opening_answer(struct gvm_region *region, unsigned int home,
			const struct region_frame *answer);
/* A home answered with another region, or none. Returns whether that is news. */
bool gvm_opening_refused(struct gvm_region *region, unsigned int home);
/*
 * A home's last answer may be stale: there is a new connection, or it does not answer faults. This
 * node asks it again, for as long as a connection stands.
 */
void gvm_opening_doubt(struct gvm_region *region, u16 home);

/* Another node has told this home how to open its share; ignored unless `token` is this join's. */
void gvm_opening_take(struct gvm_region *region, enum region_share share, u64 token);
/* This node's own share; SHARE_UNKNOWN: it is no home. */
enum region_share gvm_opening_own(const struct gvm_region *region);

#endif
