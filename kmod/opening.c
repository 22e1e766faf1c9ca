// SPDX-License-Identifier: GPL-2.0
/* Opening the homes' shares of a region: see opening.h. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "cluster.h"
#include "log.h"
#include "mutant.h"
#include "opening.h"
#include "peer.h"
#include "region.h"
#include "tell.h"
#include "workers.h"

DECLARE_WAIT_QUEUE_HEAD(gvm_opening_news);

#define AGAIN_MS_MIN 500 /* between offers to a home that does not answer, or is closed */
#define AGAIN_MS_MAX 60000

static bool share_opened(u8 share)
{
	return share == SHARE_OPEN || share == SHARE_LOST;
}

static void share_note(struct gvm_region *region, unsigned int home, u8 share)
{
	struct opening *opening = &region->opening;

	lockdep_assert_held(&region->lock);
	WRITE_ONCE(opening->nr_open, opening->nr_open + share_opened(share) -
					     share_opened(opening->homes[home].share));
	opening->homes[home].share = share;
	if (opening->nr_open == region->homes.nr)
		WRITE_ONCE(opening->complete, true);
}

static bool opening_announces(const struct opening *opening)
{
	return opening->creates && opening->complete && !opening->announced;
}

/* Queues the work while the region is to be offered or announced to a home. */
static void opening_go_on(struct gvm_region *region)
{
	struct opening *opening = &region->opening;

	lockdep_assert_held(&region->lock);
	if (!opening->homes || region->leaving)
		return;
	if (opening_announces(opening))
		mod_delayed_work(gvm_workqueue, &opening->work, 0);
	else if (opening->nr_open < region->homes.nr)
		queue_delayed_work(gvm_workqueue, &opening->work,
				   msecs_to_jiffies(opening->again_ms));
}

enum region_share gvm_opening_own(const struct gvm_region *region)
{
	return READ_ONCE(region->share);
}

bool gvm_opening_completed(const struct gvm_region *region)
{
	const struct opening *opening = &region->opening;

	return READ_ONCE(opening->complete);
}

static void own_open(struct gvm_region *region, enum region_share share)
{
	int own = gvm_homes_place(&region->homes, region->cluster->id);
	struct gvm_batch batch;
	bool opens;

	gvm_region_enter(region, &batch);
	opens = region->share == SHARE_CLOSED && !region->leaving;
	if (opens) {
		WRITE_ONCE(region->share, share);
		ivy_open(region->core, share == SHARE_LOST && !gvm_mutant("lost-is-zeros"));
	}
	if (opens && share == SHARE_LOST)
		region->stats.lost_pages += gvm_homes_share(&region->homes, region->cluster->id,
							  region->pages);
	if (opens && region->opening.homes)
		share_note(region, own, share);
	opening_go_on(region);
	gvm_region_leave(region, &batch);
	if (opens && share == SHARE_LOST)
		gvm_warn("%s: this node was a home of the region before and has lost its pages: the pages whose home it is are lost until they are discarded\n",
			 region->name);
	if (opens)
		wake_up_all(&gvm_opening_news);
}

void gvm_opening_take(struct gvm_region *region, enum region_share share, u64 token)
{
	if ((token == region->token || gvm_mutant("token-unread")) && share_opened(share))
		own_open(region, share);
}

void gvm_opening_complete(struct gvm_region *region)
{
	struct opening *opening = &region->opening;

	if (!gvm_opening_completed(region)) {
		spin_lock_bh(&region->lock);
		WRITE_ONCE(opening->complete, true);
		opening_go_on(region);
		spin_unlock_bh(&region->lock);
	}
	if (gvm_opening_own(region) == SHARE_CLOSED)
		own_open(region, SHARE_LOST);
}

/* How a closed share is to be opened; SHARE_UNKNOWN: this node cannot know. */
static enum region_share share_due(const struct opening *opening, const struct home_share *entry)
{
	if (entry->told)
		return entry->told;
	if (opening->complete)
		return SHARE_LOST;
	if (!opening->creates && !gvm_mutant("zeros-by-anyone"))
		return SHARE_UNKNOWN;
	return entry->zeros && !gvm_mutant("zeros-again") ? SHARE_LOST : SHARE_OPEN;
}

void gvm_opening_answer(struct gvm_region *region, unsigned int home,
			const struct region_frame *answer)
{
	struct opening *opening = &region->opening;
	enum region_share due = SHARE_UNKNOWN;
	struct home_share *entry;

	spin_lock_bh(&region->lock);
	if (opening->homes && !region->leaving) {
		entry = &opening->homes[home];
		/*
		 * What it was told stays under that token: an answer that its share is closed may
		 * have been queued later than one that it is open.
		 */
		if (entry->token != answer->token)
			entry->told = SHARE_UNKNOWN;
		entry->token = answer->token;
		share_note(region, home, answer->share);
		if (answer->share == SHARE_CLOSED)
			due = share_due(opening, entry);
		if (due != SHARE_UNKNOWN || gvm_mutant("told-forgotten"))
			entry->told = due;
		entry->zeros |= due == SHARE_OPEN;
		opening->spoilt |= due == SHARE_LOST && opening->creates && !opening->complete;
		entry->refused = false;
		opening_go_on(region);
	}
	spin_unlock_bh(&region->lock);
	if (due != SHARE_UNKNOWN)
		gvm_tell_open(region, region->homes.ids[home], due, answer->token);
	if (gvm_opening_ended(region))
		wake_up_all(&gvm_opening_news);
}

bool gvm_opening_ended(const struct gvm_region *region)
{
	const struct opening *opening = &region->opening;

	return READ_ONCE(opening->nr_open) == region->homes.nr;
}

bool gvm_opening_lacks(struct gvm_region *region, unsigned int home)
{
	bool lacks;

	spin_lock_bh(&region->lock);
	lacks = !share_opened(region->opening.homes[home].share);
	spin_unlock_bh(&region->lock);
	return lacks;
}

bool gvm_opening_spoilt(const struct gvm_region *region)
{
	return READ_ONCE(region->opening.spoilt);
}

bool gvm_opening_answered(struct gvm_region *region)
{
	unsigned int i, silent = 0;

	spin_lock_bh(&region->lock);
	for (i = 0; i < region->homes.nr; i++)
		silent += region->opening.homes[i].share == SHARE_UNKNOWN;
	spin_unlock_bh(&region->lock);
	return !silent;
}

bool gvm_opening_refused(struct gvm_region *region, unsigned int home)
{
	bool before = false;

	spin_lock_bh(&region->lock);
	if (region->opening.homes) {
		before = region->opening.homes[home].refused;
		region->opening.homes[home].refused = true;
	}
	spin_unlock_bh(&region->lock);
	return !before;
}

void gvm_opening_doubt(struct gvm_region *region, u16 home)
{
	int place = gvm_homes_place(&region->homes, home);

	if (place < 0 || home == region->cluster->id)
		return;
	spin_lock_bh(&region->lock);
	if (region->opening.homes) {
		share_note(region, place, SHARE_UNKNOWN);
		region->opening.homes[place].refused = false;
		region->opening.again_ms = AGAIN_MS_MIN;
		opening_go_on(region);
	}
	spin_unlock_bh(&region->lock);
}

/* Homes without a connection get the offer when one is made. */
static void opening_work_run(struct work_struct *work)
{
	struct gvm_region *region =
		container_of(work, struct gvm_region, opening.work.work);
	const struct gvm_cluster *cluster = region->cluster;
	struct opening *opening = &region->opening;
	struct gvm_peer *peer;
	unsigned int i;
	bool announce;

	spin_lock_bh(&region->lock);
	announce = opening_announces(opening);
	opening->announced |= announce;
	spin_unlock_bh(&region->lock);
	for (i = 0; i < region->homes.nr; i++) {
		peer = gvm_cluster_peer(cluster, region->homes.ids[i]);
		if (peer && gvm_peer_connected(peer) && (announce || gvm_opening_lacks(region, i)))
			gvm_tell_offer(region, peer);
		cond_resched();
	}
	spin_lock_bh(&region->lock);
	opening->again_ms = min(2 * opening->again_ms, AGAIN_MS_MAX);
	opening_go_on(region);
	spin_unlock_bh(&region->lock);
}

int gvm_opening_begin(struct gvm_region *region, bool creates)
{
	unsigned int nr_homes = region->homes.nr;
	struct opening *opening = &region->opening;
	struct home_share *homes = NULL;

	if (!READ_ONCE(opening->homes)) { /* the device's mutex is held */
		homes = kvcalloc(nr_homes, sizeof(*homes), GFP_KERNEL);
		if (!homes)
			return -ENOMEM;
		spin_lock_bh(&region->lock);
		opening->homes = homes;
		if (region->share != SHARE_UNKNOWN)
			share_note(region, gvm_homes_place(&region->homes, region->cluster->id),
				   region->share);
		spin_unlock_bh(&region->lock);
	}
	spin_lock_bh(&region->lock);
	opening->creates |= creates;
	opening->again_ms = AGAIN_MS_MIN;
	opening_go_on(region);
	spin_unlock_bh(&region->lock);
	if (creates)
		own_open(region, SHARE_OPEN);
	else if (gvm_opening_completed(region))
		own_open(region, SHARE_LOST);
	return 0;
}

void gvm_opening_init(struct gvm_region *region)
{
	INIT_DELAYED_WORK(&region->opening.work, opening_work_run);
}

void gvm_opening_end(struct gvm_region *region)
{
	cancel_delayed_work_sync(&region->opening.work);
}
