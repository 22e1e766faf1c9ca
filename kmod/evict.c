// SPDX-License-Identifier: GPL-2.0
/*
 * Eviction: see evict.h.
 *
 * The shrinker only counts and asks, for what may be evicted: not for pages whose home this is,
 * which have nowhere to go. A work evicts, since that sends messages and takes page locks. It goes
 * round the resident pages like the hand of a clock. A page that the hand reaches is unmapped and
 * marked (PG_checked, which is the owner's to use); a fault on it clears the mark. A page that is
 * still marked when the hand returns has not been used for a whole round, and is evicted. So a
 * page that was just granted, and is not mapped yet, is not evicted before pages that have been
 * idle for long. A pinned page is not evicted.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>

#include "cluster.h"
#include "compat.h"
#include "evict.h"
#include "frames.h"
#include "log.h"
#include "params.h"
#include "peer.h"
#include "region.h"
#include "workers.h"

#define EVICT_AT_ONCE 32 /* pages for one holding of the lock */
#define EVICT_AHEAD_SHIFT 6 /* evicts this fraction of the limit ahead, not to run for each page */
#define EVICT_POLL_US 1000
#define EVICT_PATIENCE (1 * HZ) /* for homes that take nothing: others get their room */
#define EVICT_STALLED (10 * HZ) /* without an evicted page: gvm_evict_all() gives up */

static struct shrinker *shrinker;

/* Unmaps and marks a page, for the hand's next round. */
static void page_rest(struct gvm_region *region, u64 page)
{
	struct folio *frame = gvm_frame_get(region, page);

	if (!frame)
		return;
	if (folio_trylock(frame)) {
		if (frame->mapping == region->inode->i_mapping) {
			if (folio_mapped(frame))
				unmap_mapping_pages(frame->mapping, page, 1, false);
			folio_set_checked(frame);
		}
		folio_unlock(frame);
	}
	folio_put(frame);
}

/*
 * Whether another page may be sent. A page that has left, or has been granted rights again, is no
 * longer in flight. Pages that their homes do not take lose their room after a while, so that they
 * do not block evictions to other homes; the core goes on sending them all the same.
 */
static bool evict_room(struct gvm_region *region)
{
	struct evictions *evictions = &region->evictions;
	struct ivy_slot *slot;
	unsigned int i, nr = 0;

	lockdep_assert_held(&region->lock);
	for (i = 0; i < evictions->nr_going; i++) {
		slot = gvm_frame_slot(region, evictions->going[i]);
		if (slot && ivy_slot_right(slot) == IVY_I)
			evictions->going[nr++] = evictions->going[i];
	}
	if (nr < evictions->nr_going) {
		evictions->moved = jiffies;
		evictions->patient = jiffies;
	} else if (nr == EVICT_GOING_MAX &&
		   time_after(jiffies, evictions->patient + EVICT_PATIENCE)) {
		evictions->patient = jiffies;
		nr = 0;
	}
	evictions->nr_going = nr;
	return nr < EVICT_GOING_MAX;
}

/* Waits for room, for at most EVICT_PATIENCE. */
static void evict_wait(struct gvm_region *region)
{
	struct gvm_batch batch;
	bool room;

	for (;;) {
		gvm_region_enter(region, &batch);
		room = evict_room(region) || region->leaving;
		gvm_region_leave(region, &batch);
		if (room)
			break;
		usleep_range(EVICT_POLL_US, 2 * EVICT_POLL_US);
	}
	cond_resched();
}

static bool evict_page(struct gvm_region *region, u64 page)
{
	struct evictions *evictions = &region->evictions;
	int gone = ivy_evict(region->core, page);

	if (gone < 0)
		return false;
	evictions->patient = jiffies;
	if (gone)
		evictions->moved = jiffies;
	else
		evictions->going[evictions->nr_going++] = page;
	return true;
}

/*
 * Moves the hand (*at) on by some pages: evicts marked pages, up to `wanted` and while there is
 * room, and marks the others, or evicts them too if `all`. Returns the number of evictions done or
 * begun; *at is region->pages at the end of the region.
 */
static long evict_some(struct gvm_region *region, u64 *at, long wanted, bool all)
{
	u64 resting[EVICT_AT_ONCE];
	unsigned int nr_resting = 0, looked = 0, i;
	struct gvm_batch batch;
	unsigned long page = *at;
	struct folio *frame = NULL;
	long going = 0;

	gvm_region_enter(region, &batch);
	if (!region->leaving)
		frame = xa_find(&region->frames, &page, ULONG_MAX, XA_PRESENT);
	while (frame && going < wanted && region->evictions.nr_going < EVICT_GOING_MAX &&
	       looked++ < EVICT_AT_ONCE) {
		if (gvm_frame_references(frame) > 0)
			; /* pinned: its users here would wait until it is unpinned */
		else if (!all && !folio_test_checked(frame))
			resting[nr_resting++] = page;
		else if (evict_page(region, page))
			going++;
		frame = xa_find_after(&region->frames, &page, ULONG_MAX, XA_PRESENT);
	}
	region->stats.evicted_pages += going;
	*at = frame ? page : region->pages;
	gvm_region_leave(region, &batch);
	for (i = 0; i < nr_resting; i++)
		page_rest(region, resting[i]);
	return going;
}

static long evict_wanted(struct gvm_region *region)
{
	long limit = gvm_params_cache_pages(), over = gvm_region_evictable(region) - limit;

	if (over > 0)
		over += limit >> EVICT_AHEAD_SHIFT;
	return max(over, atomic_long_xchg(&region->evict_wanted, 0));
}

void gvm_evict_work_run(struct work_struct *work)
{
	struct gvm_region *region = container_of(work, struct gvm_region, evict_work);
	/* Two rounds: after one, every page that may be evicted is marked. */
	long steps = 2 * atomic_long_read(&region->resident) / EVICT_AT_ONCE + 2;
	long wanted = evict_wanted(region);

	while (wanted > 0 && steps-- > 0 && !READ_ONCE(region->leaving)) {
		evict_wait(region);
		wanted -= evict_some(region, &region->evict_hand, wanted, false);
		if (region->evict_hand >= region->pages)
			region->evict_hand = 0;
	}
}

unsigned long gvm_evict_left(struct gvm_region *region)
{
	unsigned long page, left = 0;
	struct folio *frame;

	xa_for_each(&region->frames, page, frame) {
		left += ivy_home(region->core, page) != region->cluster->id;
		cond_resched();
	}
	return left;
}

static u64 lease_expiries(struct gvm_region *region)
{
	struct gvm_batch batch;
	u64 expiries;

	gvm_region_enter(region, &batch);
	expiries = ivy_stats(region->core)->lease_expiries;
	gvm_region_leave(region, &batch);
	return expiries;
}

/*
 * Whether no home of a page that is left can be reached. That a connection has ended does not mean
 * that: the home may be well, and the next connection is on its way.
 */
static bool homes_gone(struct gvm_region *region, unsigned long since)
{
	struct gvm_peer *peer;
	unsigned long page;
	struct folio *frame;

	xa_for_each(&region->frames, page, frame) {
		peer = gvm_cluster_peer(region->cluster, ivy_home(region->core, page));
		if (peer && !gvm_peer_unreachable(peer, since))
			return false;
		cond_resched();
	}
	return true;
}

static bool evict_stalled(struct gvm_region *region, bool forced)
{
	unsigned long moved = READ_ONCE(region->evictions.moved);

	return time_after(jiffies, moved + EVICT_STALLED) ||
	       (forced && time_after(jiffies, moved + EVICT_PATIENCE) &&
		homes_gone(region, moved));
}

int gvm_evict_all(struct gvm_region *region, bool forced)
{
	u64 expiries = lease_expiries(region), at;
	unsigned long left, before = 0;

	while ((left = gvm_evict_left(region))) {
		if (left != before)
			WRITE_ONCE(region->evictions.moved, jiffies);
		before = left;
		for (at = 0; at < region->pages;) {
			if (!forced && fatal_signal_pending(current))
				return -EINTR;
			if (evict_stalled(region, forced))
				return -ETIMEDOUT;
			evict_wait(region);
			evict_some(region, &at, LONG_MAX, true);
		}
		usleep_range(EVICT_POLL_US, 2 * EVICT_POLL_US); /* until homes answer */
	}
	return lease_expiries(region) == expiries ? 0 : -EIO;
}

static void region_count(struct gvm_region *region, void *pages)
{
	*(unsigned long *)pages += max(gvm_region_evictable(region), 0l);
}

static unsigned long evict_count(struct shrinker *unused, struct shrink_control *control)
{
	unsigned long pages = 0;

	gvm_regions_visit(region_count, &pages);
	return pages ?: SHRINK_EMPTY;
}

static void region_ask(struct gvm_region *region, void *left)
{
	unsigned long *pages = left;
	long share = min_t(long, *pages, gvm_region_evictable(region));

	if (share <= 0)
		return;
	*pages -= share;
	atomic_long_add(share, &region->evict_wanted);
	queue_work(gvm_evictions, &region->evict_work);
}

static unsigned long evict_scan(struct shrinker *unused, struct shrink_control *control)
{
	unsigned long left = control->nr_to_scan;

	gvm_regions_visit(region_ask, &left);
	return SHRINK_STOP; /* the work frees them later */
}

int gvm_evict_init(void)
{
	int err;

	shrinker = gvm_shrinker_create("giantvm");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = evict_count;
	shrinker->scan_objects = evict_scan;
	err = gvm_shrinker_register(shrinker, "giantvm");
	if (err)
		gvm_shrinker_destroy(shrinker);
	return err;
}

void gvm_evict_exit(void)
{
	gvm_shrinker_destroy(shrinker);
}
