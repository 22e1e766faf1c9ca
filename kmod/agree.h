/* SPDX-License-Identifier: GPL-2.0 */
/*
 * That all nodes mean the same by a region's name. Who joins a region offers it to every home: one
 * that has not joined it does so, and all answer with the size that it has there. Offers go out
 * again whenever a connection is made, so that a home which was away, or began anew, has the
 * region, too.
 *
 * An offer that not all homes agree to is withdrawn. A home that joined on that offer, to which
 * nobody else has offered the region since, whose users have not joined it, and which nobody has
 * asked for a page, then lets it go. An offer has a number, by which its withdrawal is known: a
 * home remembers withdrawals for a while, for they may overtake an offer that waits to be taken.
 * What a withdrawal misses is an empty region too many, never one too few: whoever has joined it
 * has offered it under a number of its own.
 *
 * A home's answer also says whether it serves its share of the pages, and who joins for its own use
 * tells it to when that is due (opening.h): an offer is agreed to when all of them do.
 *
 * A question is asked in steps, so that its answers are waited for without the device's mutex:
 * agree_begin(), then agree_send() and agree_wait() in turns, then agree_end().
 */
#ifndef GVM_AGREE_H
#define GVM_AGREE_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "frame.h"

struct gvm_cluster;
struct gvm_peer;
struct gvm_region;

struct agreement {
	/* of the questions that wait for answers; under their lock, as all below */
	struct list_head list;
	struct region_frame question;
	unsigned long *silent; /* homes that have not answered, by place in the list of homes */
	unsigned int nr_silent;
	u64 pages; /* of some node that has the region; 0: none has, yet */
	bool differs; /* OFFER: some node's answer is another size */
	bool refused; /* OFFER: some home has not joined */
	struct gvm_region *region; /* OFFER: this node's share of it has to be open, too */
	bool over; /* this node is not part of the cluster any more */
	wait_queue_head_t answered;
};

/*
 * Asks about a region, or offers it with that many pages. Under the device's mutex, as
 * agree_send().
 */
int agree_begin(struct agreement *agreement, const struct gvm_cluster *cluster,
		enum region_word word, const char *name, u64 pages);
/* Asks those that have not answered. */
void agree_send(struct agreement *agreement, const struct gvm_cluster *cluster);
/* Whether there is nothing more to wait for; or a signal came (-EINTR); 0: the time is over. */
int agree_wait(struct agreement *agreement, unsigned int ms);
void agree_end(struct agreement *agreement);
/* All questions are over: before the cluster ends. */
void agree_down(void);

/* Tells the homes that this node's offer of that number is none: it has left the region. */
void agree_withdraw(struct gvm_region *region, u32 number);

/* Tells a home how to open its share of a region. */
void agree_open(struct gvm_region *region, u16 home, enum region_share how, u64 token);
/* Whoever waits for answers looks again: this node's own share has been opened. */
void agree_look(void);

/* Offers it to one peer, if that is a home; nobody waits for the answer. */
void agree_offer(struct gvm_region *region, struct gvm_peer *peer);

/* What a peer sent: 0 or -EBADMSG. Of a link's receiving work. */
int agree_receive(struct gvm_peer *peer, const u8 *body);

#endif
