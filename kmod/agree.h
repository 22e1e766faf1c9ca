/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Agreement between nodes on the region that a name stands for. The creator of a region draws its
 * id, and chooses its homes; a joining node asks all nodes that lend memory for these and the size.
 * Either then offers the region to each of its homes: a home that has no region of that name joins
 * it, and all answer with the id and size of the region that they have. A node offers its regions
 * again whenever a connection is made, so that a home that was away, or began anew, joins them too.
 *
 * An offer to which not all homes agree is withdrawn. A home then leaves the region if it joined on
 * that offer, no other node has offered the region since, its own users have not joined it, and no
 * node has requested a page of it. A withdrawal names its offer by number: a home remembers
 * withdrawals for a while, since they may overtake an offer that is still queued. A missed
 * withdrawal leaves an empty region behind, and never removes one in use: a node that has joined
 * the region has offered it under a number of its own. A region that is not yet complete
 * (opening.h) is of no use without its creator: when the creator withdraws it, leaves it, or offers
 * another region of that name, homes leave it even if others have offered it.
 *
 * A home's answer also says whether it serves its share of the pages; a node that knows how the
 * share is to be opened tells it (opening.h). An offer is agreed to when all homes serve theirs.
 *
 * A question takes several calls, so that the caller can wait for answers without the device's
 * mutex: its beginning, then gvm_agree_send() and gvm_agree_wait() in turns, then gvm_agree_end().
 */
#ifndef GVM_AGREE_H
#define GVM_AGREE_H

#include <linux/list.h>
#include <linux/types.h>

#include "frame.h"

struct gvm_cluster;
struct gvm_peer;
struct gvm_region;

struct agreement {
	/* in the list of questions that wait for answers; under its lock, as all below */
	struct list_head list;
	struct region_frame question;
	bool over; /* this node is not part of the cluster any more */
	/* ASK: */
	unsigned long *silent; /* homes that have not answered, by place in the list of homes */
	unsigned int nr_silent;
	u64 pages, id; /* as a node that has the region answered; 0: none has answered so yet */
	struct home_list homes; /* the same */
	bool complete; /* that node knows the region to be complete (opening.h) */
	/* OFFER: */
	struct gvm_region *region; /* all of whose shares must open: gvm_opening_ended() */
	bool differs; /* a home has another region of that name */
	bool refused; /* a home has not joined */
	bool full; /* since it has no room */
};

/*
 * Begins a question about a region of that name (0 or -ENOMEM), or an offer of one. Under the
 * device's mutex, as gvm_agree_send().
 */
int gvm_agree_ask(struct agreement *agreement, const struct gvm_cluster *cluster, const char *name);
void gvm_agree_offer_begin(struct agreement *agreement, struct gvm_region *region);
/* Asks the homes that have not answered. */
void gvm_agree_send(struct agreement *agreement, const struct gvm_cluster *cluster);
/* 1: the answer is complete. 0: `ms` have passed. -EINTR: a signal came. */
int gvm_agree_wait(struct agreement *agreement, unsigned int ms);
void gvm_agree_end(struct agreement *agreement);
/* Ends all questions, before the cluster ends. */
void gvm_agree_down(void);

/* Handles a REGION frame of a peer, in the link's receiving work. -EBADMSG: not well formed. */
int gvm_agree_receive(struct gvm_peer *peer, const u8 *body);

#endif
