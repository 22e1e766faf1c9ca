// SPDX-License-Identifier: GPL-2.0
/* Shares of a region, opened by those who use it: see opening.h. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "agree.h"
#include "cluster.h"
#include "log.h"
#include "opening.h"
#include "peer.h"
#include "region.h"

#define PATIENCE_NS (2 * NSEC_PER_SEC)

int opening_begin(struct gvm_region *region)
{
	struct home_share *homes = NULL;

	if (!READ_ONCE(region->opening.homes)) { /* the device's mutex is held */
		homes = kvcalloc(region->cluster->nr_homes, sizeof(*homes), GFP_KERNEL);
		if (!homes)
			return -ENOMEM;
		spin_lock_bh(&region->lock);
		region->opening.homes = homes;
		spin_unlock_bh(&region->lock);
	}
	opening_tick(region); /* there may be no other home */
	return 0;
}

enum region_share opening_own(struct gvm_region *region)
{
	return READ_ONCE(region->share);
}

static void own_open(struct gvm_region *region, enum region_share share)
{
	struct gvm_batch batch;
	bool opens;

	region_enter(region, &batch);
	opens = region->share == SHARE_CLOSED && !region->leaving;
	if (opens) {
		WRITE_ONCE(region->share, share);
		ivy_open(region->core, share == SHARE_LOST);
	}
	if (opens && share == SHARE_LOST)
		region->stats.lost_pages += region_share_pages(region);
	region_leave(region, &batch);
	if (opens && share == SHARE_LOST)
		gvm_warn("%s: this node was a home of it before, and has nothing of that: the pages whose home it is are lost until they are discarded\n",
			 region->name);
	if (opens)
		agree_look();
}

void opening_take(struct gvm_region *region, enum region_share share, u64 token)
{
	if (token == region->token && (share == SHARE_OPEN || share == SHARE_LOST))
		own_open(region, share);
}

enum region_share opening_offer(struct gvm_region *region)
{
	return READ_ONCE(region->opening.once) ? SHARE_OPEN : SHARE_UNKNOWN;
}

static enum region_share share_at(struct gvm_region *region, unsigned int home)
{
	return region->cluster->homes[home] == region->cluster->id ?
	       opening_own(region) : (enum region_share)region->opening.homes[home].share;
}

/* How closed shares that this node has told nothing are to be opened; SHARE_UNKNOWN: not yet. */
static enum region_share opening_decide(struct gvm_region *region)
{
	struct opening *opening = &region->opening;
	unsigned int i, nr[SHARES] = {};
	u64 now_ns = ktime_get_boottime_ns();

	lockdep_assert_held(&region->lock);
	for (i = 0; i < region->cluster->nr_homes; i++)
		nr[share_at(region, i)]++;
	if (!nr[SHARE_CLOSED] && !nr[SHARE_UNKNOWN])
		WRITE_ONCE(opening->once, true);
	if (opening->once)
		return SHARE_LOST;
	opening->used |= nr[SHARE_OPEN] || nr[SHARE_LOST];
	if (!opening->used && nr[SHARE_CLOSED] == region->cluster->nr_homes)
		return SHARE_OPEN;
	if (!opening->used || !nr[SHARE_CLOSED]) {
		opening->since_ns = 0;
		return SHARE_UNKNOWN;
	}
	if (!opening->since_ns)
		opening->since_ns = now_ns;
	return now_ns - opening->since_ns < PATIENCE_NS ? SHARE_UNKNOWN : SHARE_LOST;
}

/* Tells a home, unless it is open. `how` is for one that was told nothing before. */
static void home_tell(struct gvm_region *region, unsigned int home, enum region_share how)
{
	struct home_share *entry = &region->opening.homes[home];
	u64 token;

	spin_lock_bh(&region->lock);
	if (share_at(region, home) != SHARE_CLOSED)
		how = SHARE_UNKNOWN;
	else if (entry->told)
		how = entry->told;
	entry->told = how;
	token = entry->token;
	spin_unlock_bh(&region->lock);
	if (how == SHARE_UNKNOWN)
		return;
	if (region->cluster->homes[home] == region->cluster->id)
		own_open(region, how);
	else
		agree_open(region, region->cluster->homes[home], how, token);
}

static void homes_tell(struct gvm_region *region, enum region_share how)
{
	unsigned int i;
	bool tell;

	for (i = 0; i < region->cluster->nr_homes; i++) {
		spin_lock_bh(&region->lock);
		tell = share_at(region, i) == SHARE_CLOSED && !region->opening.homes[i].told;
		spin_unlock_bh(&region->lock);
		if (tell)
			home_tell(region, i, how);
	}
}

void opening_answer(struct gvm_region *region, unsigned int home, enum region_share share,
		    u64 token)
{
	enum region_share how = SHARE_UNKNOWN;
	struct home_share *entry;
	bool again = false;

	spin_lock_bh(&region->lock);
	if (region->opening.homes && !region->leaving) {
		entry = &region->opening.homes[home];
		if (entry->token != token)
			entry->told = SHARE_UNKNOWN;
		entry->token = token;
		entry->share = share;
		again = share == SHARE_CLOSED && entry->told;
		how = opening_decide(region);
	}
	spin_unlock_bh(&region->lock);
	if (again)
		home_tell(region, home, how);
	if (how != SHARE_UNKNOWN)
		homes_tell(region, how);
}

void opening_tick(struct gvm_region *region)
{
	enum region_share how = SHARE_UNKNOWN;

	spin_lock_bh(&region->lock);
	if (region->opening.homes && !region->opening.once && !region->leaving)
		how = opening_decide(region);
	spin_unlock_bh(&region->lock);
	if (how != SHARE_UNKNOWN)
		homes_tell(region, how);
}
