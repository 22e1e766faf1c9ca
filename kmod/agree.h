/* SPDX-License-Identifier: GPL-2.0 */
/*
 * That all nodes mean the same by a region's name. Who creates a region draws its id; who joins it
 * asks the homes for that, and for its size. Either then offers it to every home: one that has none
 * of that name joins it, and all answer with the id and the size that it has there. Offers go out
 * again whenever a connection is made, so that a home which was away, or began anew, has the
 * region, too.
 *
 * An offer that not all homes agree to is withdrawn. A home that joined on that offer, to which
 * nobody else has offered the region since, whose users have not joined it, and which nobody has
 * asked for a page, then lets it go. An offer has a number, by which its withdrawal is known: a
 * home remembers withdrawals for a while, for they may overtake an offer that waits to be taken.
 * What a withdrawal misses is an empty region too many, never one too few: whoever has joined it
 * has offered it under a number of its own. Only where the region is not yet complete (opening.h)
 * nobody can use it without its creator: when that withdraws it, leaves it, or offers another of
 * that name, it goes whoever else has offered it.
 *
 * A home's answer also says whether it serves its share of the pages, and who knows tells it to
 * (opening.h): an offer is agreed to when all of them do.
 *
 * A question is asked in steps, so that its answers are waited for without the device's mutex:
 * its beginning, then gvm_agree_send() and gvm_agree_wait() in turns, then gvm_agree_end().
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
	/* of the questions that wait for answers; under their lock, as all below */
	struct list_head list;
	struct region_frame question;
	bool over; /* this node is not part of the cluster any more */
	/* ASK: */
	unsigned long *silent; /* homes that have not answered, by place in the list of homes */
	unsigned int nr_silent;
	u64 pages, id; /* at some node that has the region; 0: none has, yet */
	bool complete; /* that node knows that it is (opening.h) */
	/* OFFER: */
	struct gvm_region *region; /* whose shares are to be open, by gvm_opening_ended() */
	bool differs; /* some node has another one */
	bool refused; /* some home has not joined */
};

/*
 * Asks about a region of that name (0 or -ENOMEM), or offers one. Under the device's mutex, as
 * gvm_agree_send().
 */
int gvm_agree_ask(struct agreement *agreement, const struct gvm_cluster *cluster, const char *name);
void gvm_agree_offer_begin(struct agreement *agreement, struct gvm_region *region);
/* Asks those that have not answered. */
void gvm_agree_send(struct agreement *agreement, const struct gvm_cluster *cluster);
/* Whether there is nothing more to wait for; or a signal came (-EINTR); 0: the time is over. */
int gvm_agree_wait(struct agreement *agreement, unsigned int ms);
void gvm_agree_end(struct agreement *agreement);
/* All questions are over: before the cluster ends. */
void gvm_agree_down(void);

/* What a peer sent: 0 or -EBADMSG. Of a link's receiving work. */
int gvm_agree_receive(struct gvm_peer *peer, const u8 *body);

#endif
