// SPDX-License-Identifier: GPL-2.0
/* Questions, offers and answers about regions: see agree.h. */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "agree.h"
#include "cluster.h"
#include "log.h"
#include "membership.h"
#include "memory.h"
#include "mutant.h"
#include "opening.h"
#include "peer.h"
#include "region.h"
#include "tell.h"
#include "workers.h"

#define OFFERS_MAX 64 /* that wait for the device's mutex; more are dropped, and peers retry */
/* Withdrawals are not retried: room for as many as a node has regions. */
#define WITHDRAWALS_MAX GIANTVM_REGIONS_MAX
#define WITHDRAWN_KEPT 256

#define NUMBER_NS_SHIFT 26 /* 67 ms: a node makes at most one offer in this time, on average */

/*
 * A received offer, or the withdrawal of one, queued because taking it needs the device's mutex,
 * for which a connection's work must not wait. All are taken by one work, on a workqueue of its
 * own: however many arrive, one worker waits for the mutex, whose holder may wait for other works.
 */
struct offer {
	struct list_head list;
	struct region_frame frame;
	u64 cluster; /* serial of the cluster in which it was made */
	struct region_offer on;
};

static struct withdrawn {
	u64 cluster;
	struct region_offer offer;
} withdrawn[WITHDRAWN_KEPT]; /* under agreements_lock, in a ring */

static unsigned int nr_withdrawn; /* under agreements_lock */

static LIST_HEAD(agreements);
static DEFINE_SPINLOCK(agreements_lock);
static u32 last_number; /* under agreements_lock */

static LIST_HEAD(offers_queued); /* in order of arrival */
static unsigned int nr_offers, nr_withdrawals; /* in it */
static DEFINE_SPINLOCK(offers_lock);
static void offers_take(struct work_struct *work);
static DECLARE_WORK(offers_work, offers_take);

/* Numbers the question and adds it to the list. */
static void agree_begin(struct agreement *agreement)
{
	spin_lock(&agreements_lock);
	/* Above all numbers before the module was loaded: other nodes may remember those. */
	if (!last_number)
		last_number = ktime_get_real_ns() >> NUMBER_NS_SHIFT;
	last_number += last_number == U32_MAX ? 2 : 1; /* skips 0, which means no number */
	agreement->question.number = last_number;
	list_add(&agreement->list, &agreements);
	spin_unlock(&agreements_lock);
}

/* Whether a frame about a region of that name is about this very region. */
static bool frame_means(const struct region_frame *frame, const struct gvm_region *region)
{
	return (frame->id == region->id || gvm_mutant("names-suffice")) &&
	       frame->pages == region->pages;
}

int gvm_agree_ask(struct agreement *agreement, const struct gvm_cluster *cluster, const char *name)
{
	unsigned int i;

	*agreement = (struct agreement){ .question = { .word = REGION_ASK } };
	strscpy(agreement->question.name, name, sizeof(agreement->question.name));
	agreement->silent = bitmap_zalloc(GIANTVM_NODES_MAX, GFP_KERNEL);
	if (!agreement->silent)
		return -ENOMEM;
	for (i = 0; i < cluster->nr_homes; i++) {
		if (cluster->homes[i] == cluster->id)
			continue;
		__set_bit(cluster->homes[i], agreement->silent);
		agreement->nr_silent++;
	}
	agree_begin(agreement);
	return 0;
}

void gvm_agree_offer_begin(struct agreement *agreement, struct gvm_region *region)
{
	*agreement = (struct agreement){
		.question = gvm_tell_frame(region, REGION_OFFER),
		.region = region,
	};
	agree_begin(agreement);
}

/* `place`: that of the node `id` among the region's homes, if there is a region. */
static bool agreement_lacks(struct agreement *agreement, unsigned int place, u16 id)
{
	bool lacks;

	if (agreement->region)
		return gvm_opening_lacks(agreement->region, place);
	spin_lock(&agreements_lock);
	lacks = test_bit(id, agreement->silent);
	spin_unlock(&agreements_lock);
	return lacks;
}

void gvm_agree_send(struct agreement *agreement, const struct gvm_cluster *cluster)
{
	const struct gvm_region *region = agreement->region;
	unsigned int i, nr = region ? region->homes.nr : cluster->nr_homes;
	const u16 *homes = region ? region->homes.ids : cluster->homes;
	struct gvm_peer *peer;

	for (i = 0; i < nr; i++) {
		peer = gvm_cluster_peer(cluster, homes[i]);
		if (peer && agreement_lacks(agreement, i, homes[i]))
			gvm_tell_send(peer, &agreement->question);
	}
}

static bool agreement_answered(const struct agreement *agreement)
{
	if (agreement->region)
		return gvm_opening_ended(agreement->region);
	return agreement->pages || !agreement->nr_silent;
}

/*
 * An offer ends with the answers of all homes, or one refusal; a question with one node that knows.
 */
static bool agreement_ends(struct agreement *agreement)
{
	bool ends;

	spin_lock(&agreements_lock);
	ends = agreement->over || agreement->differs || agreement->refused ||
	       agreement_answered(agreement);
	spin_unlock(&agreements_lock);
	return ends;
}

int gvm_agree_wait(struct agreement *agreement, unsigned int ms)
{
	long left = wait_event_interruptible_timeout(gvm_opening_news,
						     agreement_ends(agreement),
						     msecs_to_jiffies(ms));

	return left < 0 ? -EINTR : left > 0;
}

void gvm_agree_end(struct agreement *agreement)
{
	spin_lock(&agreements_lock);
	list_del(&agreement->list);
	spin_unlock(&agreements_lock);
	bitmap_free(agreement->silent);
}

void gvm_agree_down(void)
{
	struct agreement *agreement;

	spin_lock(&agreements_lock);
	list_for_each_entry(agreement, &agreements, list)
		agreement->over = true;
	spin_unlock(&agreements_lock);
	wake_up_all(&gvm_opening_news);
}

static void agreement_note(struct agreement *agreement, const struct gvm_peer *peer,
			   const struct region_frame *answer)
{
	const struct gvm_region *region = agreement->region;

	lockdep_assert_held(&agreements_lock);
	if (agreement->over) /* of another cluster */
		return;
	if (region && gvm_homes_place(&region->homes, peer->id) < 0)
		return;
	if (region) { /* gvm_opening_answer() takes the rest of the answer */
		agreement->refused |= !answer->pages;
		agreement->full |= !answer->pages && answer->flags & REGION_FULL;
		agreement->differs |= answer->pages && !frame_means(answer, region);
	} else if (__test_and_clear_bit(peer->id, agreement->silent)) {
		agreement->nr_silent--;
		if (answer->pages) {
			agreement->pages = answer->pages;
			agreement->id = answer->id;
			agreement->homes = answer->homes;
			agreement->complete = answer->flags & REGION_COMPLETE;
		}
	}
	wake_up_all(&gvm_opening_news);
}

static void answer_warn(const struct gvm_region *region, const struct gvm_peer *peer,
			const struct region_frame *answer)
{
	if (!answer->pages)
		gvm_warn("node %u does not join %s: its share of the pages cannot be used\n",
			 peer->id, region->name);
	else if (answer->pages != region->pages)
		gvm_warn("%s has %llu pages here and %llu at node %u: no page is shared with it\n",
			 region->name, region->pages, answer->pages, peer->id);
	else
		gvm_warn("node %u is part of another %s, created anew: no page is shared with it\n",
			 peer->id, region->name);
}

/*
 * An answer, awaited (`waits`) or not, tells the state of that home's share. One that is not
 * awaited also tells that the home has another region, which is logged.
 */
static void answer_compare(const struct gvm_peer *peer, const struct region_frame *answer,
			   bool waits)
{
	struct gvm_region *region = gvm_region_find(answer->name);
	int home;

	if (!region)
		return;
	home = gvm_homes_place(&region->homes, peer->id);
	if (frame_means(answer, region) && answer->flags & REGION_COMPLETE)
		gvm_opening_complete(region);
	if (frame_means(answer, region) && home >= 0 && answer->share != SHARE_UNKNOWN)
		gvm_opening_answer(region, home, answer);
	else if (home >= 0 && gvm_opening_refused(region, home) && !(waits && answer->pages))
		answer_warn(region, peer, answer);
	gvm_region_put(region);
}

static void answer_receive(struct gvm_peer *peer, const struct region_frame *answer)
{
	struct agreement *agreement;
	bool waits = false;

	spin_lock(&agreements_lock);
	list_for_each_entry(agreement, &agreements, list) {
		if (agreement->question.number != answer->number ||
		    strcmp(agreement->question.name, answer->name))
			continue;
		agreement_note(agreement, peer, answer);
		waits = true;
	}
	spin_unlock(&agreements_lock);
	answer_compare(peer, answer, waits);
}

/* `region` is NULL if this node has none; `full`: as there is no room for it. */
static void answer_send(struct gvm_peer *peer, const struct region_frame *question,
			struct gvm_region *region, bool full)
{
	struct region_frame answer = { .word = REGION_ANSWER };

	if (region) {
		answer = gvm_tell_frame(region, REGION_ANSWER);
		answer.share = gvm_opening_own(region);
		answer.token = region->token;
	}
	if (full)
		answer.flags |= REGION_FULL;
	answer.number = question->number;
	strscpy(answer.name, question->name, sizeof(answer.name));
	gvm_tell_send(peer, &answer);
}

/* Answers with the region of that name, if it is here and not being left. */
static void answer_find(struct gvm_peer *peer, const struct region_frame *question, bool full)
{
	struct gvm_region *region = gvm_region_find(question->name);

	answer_send(peer, question,
		    region && atomic_read(&region->opened) >= 0 ? region : NULL, full);
	if (region)
		gvm_region_put(region);
}

/* Remembers a withdrawal: its offer may still be queued, or arrive later. */
static void withdrawn_note(const struct gvm_peer *peer, const struct region_frame *frame)
{
	struct withdrawn *note;

	spin_lock(&agreements_lock);
	note = &withdrawn[nr_withdrawn++ % WITHDRAWN_KEPT];
	note->cluster = peer->cluster->serial;
	note->offer.from = peer->id;
	note->offer.number = frame->number;
	spin_unlock(&agreements_lock);
}

static bool offer_withdrawn(u64 cluster, const struct region_offer *offer)
{
	const struct withdrawn *note;
	bool found = false;

	spin_lock(&agreements_lock);
	for (note = withdrawn; note < withdrawn + WITHDRAWN_KEPT; note++)
		found |= note->cluster == cluster && note->offer.from == offer->from &&
			 note->offer.number == offer->number;
	spin_unlock(&agreements_lock);
	return found;
}

/* Whether a region is here to answer with: the offered one, or another of that name. */
static bool offer_note(struct gvm_region *region, const struct region_offer *offer,
		       const struct region_frame *frame)
{
	if (!frame_means(frame, region))
		return !gvm_region_superseded(region, offer);
	if (!gvm_region_offered(region, offer, frame->flags & REGION_CREATOR))
		return false;
	if (frame->flags & REGION_COMPLETE)
		gvm_opening_complete(region);
	return true;
}

static int offer_join(struct gvm_cluster *cluster, const struct offer *offer)
{
	const struct region_frame *frame = &offer->frame;
	struct region_wish wish = {
		.name = frame->name,
		.pages = frame->pages,
		.id = frame->id,
		.homes = frame->homes,
		.on = &offer->on,
	};
	struct gvm_region *region;
	int err = gvm_region_join(cluster, &wish, &region);

	if (!err) {
		offer_note(region, &offer->on, frame);
		gvm_region_put(region);
	} else if (err != -EEXIST) {
		gvm_warn("%s of node %u is not joined: error %d\n", frame->name, offer->on.from,
			 err);
	}
	return err;
}

/*
 * Whether the frame ends the region here: it withdraws the only offer on which the region is here;
 * or the region is not complete, and its creator withdraws it or creates another.
 */
static bool offer_ends(const struct offer *offer, struct gvm_region *region)
{
	const struct region_frame *frame = &offer->frame;
	bool same = frame_means(frame, region);

	if (frame->word == REGION_WITHDRAW)
		return gvm_region_forgo(region, &offer->on, same && frame->flags & REGION_CREATOR);
	return !same && gvm_region_superseded(region, &offer->on) &&
	       gvm_region_forgo(region, &offer->on, true);
}

static void offer_end(const struct offer *offer)
{
	struct gvm_region *region = gvm_region_find(offer->frame.name);

	if (!region)
		return;
	if (offer_ends(offer, region)) {
		gvm_info("%s is not joined any more: node %u has withdrawn its offer\n",
			 region->name, offer->on.from);
		gvm_region_end(region);
	}
	gvm_region_put(region);
}

static void offer_take(struct offer *offer)
{
	struct gvm_cluster *cluster = gvm_membership_lock();
	struct gvm_peer *peer = NULL;
	int err;

	/* The cluster in which the offer was made may have ended while it was queued. */
	if (cluster && cluster->serial == offer->cluster)
		peer = gvm_cluster_peer(cluster, offer->on.from);
	if (peer)
		offer_end(offer);
	if (peer && offer->frame.word == REGION_OFFER &&
	    !offer_withdrawn(offer->cluster, &offer->on)) {
		err = offer_join(cluster, offer);
		answer_find(peer, &offer->frame, err == -ENOSPC);
	}
	gvm_membership_unlock();
	kfree(offer);
}

static unsigned int *offers_counted(const struct offer *offer)
{
	return offer->frame.word == REGION_OFFER ? &nr_offers : &nr_withdrawals;
}

static struct offer *offer_next(void)
{
	struct offer *offer;

	spin_lock(&offers_lock);
	offer = list_first_entry_or_null(&offers_queued, struct offer, list);
	if (offer) {
		list_del(&offer->list);
		--*offers_counted(offer);
	}
	spin_unlock(&offers_lock);
	return offer;
}

static void offers_take(struct work_struct *work)
{
	struct offer *offer;

	while ((offer = offer_next())) {
		offer_take(offer);
		cond_resched();
	}
}

/* Whether there was room for it. */
static bool offer_add(struct offer *offer)
{
	unsigned int most = offer->frame.word == REGION_OFFER ? OFFERS_MAX : WITHDRAWALS_MAX;
	bool room;

	spin_lock(&offers_lock);
	room = *offers_counted(offer) < most;
	if (room) {
		list_add_tail(&offer->list, &offers_queued);
		++*offers_counted(offer);
	}
	spin_unlock(&offers_lock);
	return room;
}

/* Queued, as it needs the device's mutex. Dropped if there is no room, as any frame may be. */
static void offer_queue(struct gvm_peer *peer, const struct region_frame *frame)
{
	struct offer *offer = kmalloc(sizeof(*offer), GFP_DISPENSABLE);

	if (!offer)
		return;
	offer->frame = *frame;
	offer->cluster = peer->cluster->serial;
	offer->on.from = peer->id;
	offer->on.number = frame->number;
	if (offer_add(offer))
		queue_work(gvm_agreements, &offers_work);
	else
		kfree(offer);
}

static void offer_receive(struct gvm_peer *peer, const struct region_frame *frame)
{
	struct region_offer offer = { .from = peer->id, .number = frame->number };
	struct gvm_region *region = gvm_region_find(frame->name);
	bool here = region && !offer_withdrawn(peer->cluster->serial, &offer) &&
		    offer_note(region, &offer, frame);

	if (here || gvm_homes_place(&frame->homes, peer->cluster->id) < 0 ||
	    !frame->id || frame->pages > MAX_LFS_FILESIZE >> PAGE_SHIFT ||
	    !gvm_region_name_valid(frame->name))
		answer_send(peer, frame, here ? region : NULL, false);
	else
		offer_queue(peer, frame);
	if (region)
		gvm_region_put(region);
}

static void open_receive(struct gvm_peer *peer, const struct region_frame *frame)
{
	struct gvm_region *region = gvm_region_find(frame->name);

	if (!region)
		return;
	if (frame_means(frame, region))
		gvm_opening_take(region, frame->share, frame->token);
	gvm_region_put(region);
	answer_find(peer, frame, false);
}

static void withdrawal_receive(struct gvm_peer *peer, const struct region_frame *frame)
{
	withdrawn_note(peer, frame);
	offer_queue(peer, frame);
}

int gvm_agree_receive(struct gvm_peer *peer, const u8 *body)
{
	struct region_frame frame;
	int err = gvm_region_frame_decode(body, &frame);

	if (err)
		return err;
	switch (frame.word) {
	case REGION_ASK:
		answer_find(peer, &frame, false);
		break;
	case REGION_OFFER:
		offer_receive(peer, &frame);
		break;
	case REGION_ANSWER:
		answer_receive(peer, &frame);
		break;
	case REGION_WITHDRAW:
		withdrawal_receive(peer, &frame);
		break;
	case REGION_OPEN:
		open_receive(peer, &frame);
		break;
	}
	return 0;
}
