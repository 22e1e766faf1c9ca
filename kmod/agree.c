// SPDX-License-Identifier: GPL-2.0
/* What nodes tell each other about regions: see agree.h. */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "agree.h"
#include "cluster.h"
#include "device.h"
#include "log.h"
#include "opening.h"
#include "peer.h"
#include "region.h"

#define OFFERS_MAX 64 /* that wait for the device's mutex; more are dropped, and made again */

#define WITHDRAWN_KEPT 64

/*
 * An offer on its way to be joined, or the withdrawal of one, which takes a mutex that a
 * connection's work must not wait for.
 */
struct offer {
	struct work_struct work;
	struct region_frame frame;
	u64 cluster; /* in which it was made */
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
static atomic_t offers;

int agree_begin(struct agreement *agreement, const struct gvm_cluster *cluster,
		enum region_word word, const char *name, u64 pages)
{
	unsigned int i;

	memset(agreement, 0, sizeof(*agreement));
	agreement->silent = bitmap_zalloc(cluster->nr_homes, GFP_KERNEL);
	if (!agreement->silent)
		return -ENOMEM;
	for (i = 0; i < cluster->nr_homes; i++) {
		if (cluster->homes[i] == cluster->id)
			continue;
		__set_bit(i, agreement->silent);
		agreement->nr_silent++;
	}
	init_waitqueue_head(&agreement->answered);
	agreement->question.word = word;
	agreement->question.pages = pages;
	strscpy(agreement->question.name, name, sizeof(agreement->question.name));
	spin_lock(&agreements_lock);
	/* Others may remember numbers of this node from before the module was loaded. */
	if (!last_number)
		last_number = get_random_u32();
	last_number += last_number == U32_MAX ? 2 : 1; /* 0 is nobody's */
	agreement->question.number = last_number;
	list_add(&agreement->list, &agreements);
	spin_unlock(&agreements_lock);
	return 0;
}

static void frame_queue(struct gvm_peer *peer, const struct region_frame *frame)
{
	u8 body[REGION_FRAME_BYTES];

	region_frame_encode(frame, body);
	peer_queue_frame(peer, FRAME_REGION, body, sizeof(body));
}

static void frame_send(struct gvm_peer *peer, const struct region_frame *frame)
{
	frame_queue(peer, frame);
	peer_transmit(peer);
}

static bool agreement_lacks(struct agreement *agreement, unsigned int home)
{
	bool lacks;

	spin_lock(&agreements_lock);
	lacks = test_bit(home, agreement->silent);
	spin_unlock(&agreements_lock);
	return lacks;
}

void agree_send(struct agreement *agreement, const struct gvm_cluster *cluster)
{
	unsigned int i;

	for (i = 0; i < cluster->nr_homes; i++)
		if (agreement_lacks(agreement, i))
			frame_send(cluster_peer(cluster, cluster->homes[i]), &agreement->question);
}

static bool agreement_answered(const struct agreement *agreement)
{
	if (agreement->question.word == REGION_ASK && agreement->pages)
		return true;
	return !agreement->nr_silent &&
	       (!agreement->region || opening_own(agreement->region) != SHARE_CLOSED);
}

/* An offer is agreed to by all, or not; a question is answered by whoever knows. */
static bool agreement_ends(struct agreement *agreement)
{
	bool ends;

	spin_lock(&agreements_lock);
	ends = agreement->over || agreement->differs || agreement->refused ||
	       agreement_answered(agreement);
	spin_unlock(&agreements_lock);
	return ends;
}

void agree_look(void)
{
	struct agreement *agreement;

	spin_lock(&agreements_lock);
	list_for_each_entry(agreement, &agreements, list)
		wake_up_all(&agreement->answered);
	spin_unlock(&agreements_lock);
}

int agree_wait(struct agreement *agreement, unsigned int ms)
{
	long left = wait_event_interruptible_timeout(agreement->answered,
						     agreement_ends(agreement),
						     msecs_to_jiffies(ms));

	return left < 0 ? -EINTR : left > 0;
}

void agree_end(struct agreement *agreement)
{
	spin_lock(&agreements_lock);
	list_del(&agreement->list);
	spin_unlock(&agreements_lock);
	bitmap_free(agreement->silent);
}

void agree_down(void)
{
	struct agreement *agreement;

	spin_lock(&agreements_lock);
	list_for_each_entry(agreement, &agreements, list) {
		agreement->over = true;
		wake_up_all(&agreement->answered);
	}
	spin_unlock(&agreements_lock);
}

static void agreement_note(struct agreement *agreement, const struct gvm_peer *peer,
			   const struct region_frame *answer)
{
	int home = cluster_home(peer->cluster, peer->id);

	lockdep_assert_held(&agreements_lock);
	if (agreement->over) /* of another cluster */
		return;
	if (agreement->question.word == REGION_OFFER && answer->share == SHARE_CLOSED &&
	    answer->pages == agreement->question.pages)
		return; /* it will be open soon, and is asked again */
	if (home < 0 || !__test_and_clear_bit(home, agreement->silent))
		return;
	agreement->nr_silent--;
	if (answer->pages)
		agreement->pages = answer->pages;
	if (agreement->question.word == REGION_OFFER) {
		agreement->refused |= !answer->pages;
		agreement->differs |= answer->pages && answer->pages != agreement->question.pages;
	}
	wake_up_all(&agreement->answered);
}

/*
 * Whether or not somebody waits for it, an answer says how it is with the share there; and, if
 * nobody does, whether that node differs.
 */
static void answer_compare(const struct gvm_peer *peer, const struct region_frame *answer,
			   bool waits)
{
	struct gvm_region *region = region_find(answer->name);
	int home = cluster_home(peer->cluster, peer->id);

	if (!region)
		return;
	if (home >= 0 && answer->pages == region->pages && answer->share != SHARE_UNKNOWN)
		opening_answer(region, home, answer->share, answer->token);
	if (!waits && answer->pages && answer->pages != region->pages)
		gvm_warn("%s has %llu pages here and %llu at node %u: no page is shared with it\n",
			 region->name, region->pages, answer->pages, peer->id);
	else if (!answer->pages)
		gvm_warn("node %u does not join %s: its share of the pages cannot be used\n",
			 peer->id, region->name);
	region_put(region);
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

/* `region`: NULL: it is not here. */
static void answer_send(struct gvm_peer *peer, const struct region_frame *question,
			struct gvm_region *region)
{
	struct region_frame answer = *question;

	answer.word = REGION_ANSWER;
	answer.pages = region ? region->pages : 0;
	answer.share = region ? opening_own(region) : SHARE_UNKNOWN;
	answer.token = region ? region->token : 0;
	frame_send(peer, &answer);
}

/* The same of whatever region has that name, and is not being left. */
static void answer_find(struct gvm_peer *peer, const struct region_frame *question)
{
	struct gvm_region *region = region_find(question->name);

	answer_send(peer, question,
		    region && atomic_read(&region->opened) >= 0 ? region : NULL);
	if (region)
		region_put(region);
}

/* Offers that have been withdrawn may still wait to be taken, or come again. */
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

/* Who has seen all shares open knows that this one, if it is closed, was open before. */
static void offer_opens(struct gvm_region *region, const struct region_frame *frame)
{
	if (frame->share == SHARE_OPEN && frame->pages == region->pages)
		opening_take(region, SHARE_LOST, region->token);
}

static void offer_join(struct gvm_cluster *cluster, const struct offer *offer)
{
	struct giantvm_region wish = { .size_bytes = offer->frame.pages << PAGE_SHIFT };
	struct gvm_region *region;
	int err;

	strscpy(wish.name, offer->frame.name, sizeof(wish.name));
	err = region_join(cluster, &wish, &offer->on, &region);
	if (!err) {
		region_offered(region, &offer->on, offer->frame.pages);
		offer_opens(region, &offer->frame);
		region_put(region);
	} else if (err != -EEXIST) {
		gvm_warn("%s of node %u is not joined: error %d\n", wish.name, offer->on.from,
			 err);
	}
}

static void withdrawal_take(const struct offer *offer)
{
	struct gvm_region *region = region_find(offer->frame.name);

	if (!region)
		return;
	if (region_forgo(region, &offer->on)) {
		gvm_info("%s is not joined any more: node %u has withdrawn its offer\n",
			 region->name, offer->on.from);
		region_end(region);
	}
	region_put(region);
}

static void offer_take(struct work_struct *work)
{
	struct offer *offer = container_of(work, struct offer, work);
	struct gvm_cluster *cluster = cluster_lock();
	struct gvm_peer *peer = NULL;

	/* It may have waited for longer than the cluster lived in which it was made. */
	if (cluster && cluster->serial == offer->cluster)
		peer = cluster_peer(cluster, offer->on.from);
	if (peer && offer->frame.word == REGION_WITHDRAW) {
		withdrawal_take(offer);
	} else if (peer && !offer_withdrawn(offer->cluster, &offer->on)) {
		offer_join(cluster, offer);
		answer_find(peer, &offer->frame);
	}
	cluster_unlock();
	kfree(offer);
	atomic_dec(&offers);
}

/* To be done with the mutex; what finds no room is lost, as a frame may be. */
static void offer_queue(struct gvm_peer *peer, const struct region_frame *frame)
{
	struct offer *offer;

	if (!atomic_add_unless(&offers, 1, OFFERS_MAX))
		return;
	offer = kmalloc(sizeof(*offer), GFP_DISPENSABLE);
	if (!offer) {
		atomic_dec(&offers);
		return;
	}
	INIT_WORK(&offer->work, offer_take);
	offer->frame = *frame;
	offer->cluster = peer->cluster->serial;
	offer->on.from = peer->id;
	offer->on.number = frame->number;
	queue_work(gvm_workqueue, &offer->work);
}

static void offer_receive(struct gvm_peer *peer, const struct region_frame *frame)
{
	struct region_offer offer = { .from = peer->id, .number = frame->number };
	struct gvm_region *region = region_find(frame->name);
	bool here = region && !offer_withdrawn(peer->cluster->serial, &offer) &&
		    region_offered(region, &offer, frame->pages);

	if (here)
		offer_opens(region, frame);
	if (here || cluster_home(peer->cluster, peer->cluster->id) < 0 ||
	    frame->pages > MAX_LFS_FILESIZE >> PAGE_SHIFT || !region_name_valid(frame->name))
		answer_send(peer, frame, here ? region : NULL);
	else
		offer_queue(peer, frame);
	if (region)
		region_put(region);
}

static void open_receive(struct gvm_peer *peer, const struct region_frame *frame)
{
	struct gvm_region *region = region_find(frame->name);

	if (!region)
		return;
	opening_take(region, frame->share, frame->token);
	region_put(region);
	answer_find(peer, frame);
}

void agree_open(struct gvm_region *region, u16 home, enum region_share how, u64 token)
{
	struct gvm_peer *peer = cluster_peer(region->cluster, home);
	struct region_frame frame = {
		.word = REGION_OPEN,
		.share = how,
		.number = READ_ONCE(region->number),
		.pages = region->pages,
		.token = token,
	};

	strscpy(frame.name, region->name, sizeof(frame.name));
	frame_queue(peer, &frame);
	peer_transmit_later(peer);
}

static void withdrawal_receive(struct gvm_peer *peer, const struct region_frame *frame)
{
	withdrawn_note(peer, frame);
	offer_queue(peer, frame);
}

void agree_offer(struct gvm_region *region, struct gvm_peer *peer)
{
	struct region_frame frame = {
		.word = REGION_OFFER,
		.share = opening_offer(region),
		.number = READ_ONCE(region->number),
		.pages = region->pages,
	};

	/* What this node has on another's offer alone, that one offers. */
	if (cluster_home(peer->cluster, peer->id) < 0 || region_tentative(region))
		return;
	strscpy(frame.name, region->name, sizeof(frame.name));
	frame_send(peer, &frame);
}

void agree_withdraw(struct gvm_region *region, u32 number)
{
	const struct gvm_cluster *cluster = region->cluster;
	struct region_frame frame = {
		.word = REGION_WITHDRAW,
		.number = number,
		.pages = region->pages,
	};
	unsigned int i;

	if (!number)
		return; /* it has not come to an offer */
	strscpy(frame.name, region->name, sizeof(frame.name));
	for (i = 0; i < cluster->nr_homes; i++)
		if (cluster->homes[i] != cluster->id)
			frame_send(cluster_peer(cluster, cluster->homes[i]), &frame);
}

int agree_receive(struct gvm_peer *peer, const u8 *body)
{
	struct region_frame frame;
	int err = region_frame_decode(body, &frame);

	if (err)
		return err;
	switch (frame.word) {
	case REGION_ASK:
		answer_find(peer, &frame);
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
