// SPDX-License-Identifier: GPL-2.0
/*
 * Eviction: see evict.h.
 *
 * The kernel's reclaim only counts and asks; a work evicts, since that sends messages and takes page
 * locks. It goes round the resident pages like the hand of a clock. A page that it comes to is unmapped
 * and marked (PG_checked, which is the owner's to use); a fault on it takes the mark away. One that
 * still has its mark when the hand comes again has not been used for a whole round, and goes. So what
 * was just granted, and is not mapped yet, does not go before what nobody has touched for long.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/shrinker.h>

#include "cluster.h"
#include "compat.h"
#include "evict.h"
#include "frames.h"
#include "log.h"
#include "region.h"

static unsigned int cache_mb;
module_param(cache_mb, uint, 0644);
MODULE_PARM_DESC(cache_mb, "MiB of a region that may be resident on this node; 0 (the default): as much as there is memory");

#define EVICT_AT_ONCE 32 /* pages for one holding of the lock */
#define EVICT_AHEAD_SHIFT 6 /* goes below the limit by this part of it, so as not to run for each page */
#define EVICT_POLL_MS 20

static struct shrinker *shrinker;

static long limit_pages(void)
{
	unsigned int mb = READ_ONCE(cache_mb);

	return mb ? (long)mb << (20 - PAGE_SHIFT) : LONG_MAX;
}

void evict_check(struct gvm_region *region, long resident)
{
	if (resident > limit_pages())
		queue_work(gvm_workqueue, &region->evict_work);
}

/* Takes the mappings away and marks it, for the next time that the hand comes. */
static void page_rest(struct gvm_region *region, u64 page)
{
	struct page *frame = frame_get(region, page);

	if (!frame)
		return;
	if (trylock_page(frame)) {
		if (frame->mapping == region->inode->i_mapping) {
			if (page_mapped(frame))
				unmap_mapping_pages(frame->mapping, page, 1, false);
			SetPageChecked(frame);
		}
		unlock_page(frame);
	}
	put_page(frame);
}

/*
 * Moves the hand on by some pages: those that rest go, up to `wanted`; the others rest from now on, or
 * go too if they `all` are to. How many went or are on their way; *at is region->pages at the end.
 */
static long evict_some(struct gvm_region *region, u64 *at, long wanted, bool all)
{
	u64 resting[EVICT_AT_ONCE];
	unsigned int nr_resting = 0, looked = 0, i;
	struct gvm_batch batch;
	unsigned long page = *at;
	struct page *frame = NULL;
	long going = 0;

	region_enter(region, &batch);
	if (!region->leaving)
		frame = xa_find(&region->frames, &page, ULONG_MAX, XA_PRESENT);
	while (frame && going < wanted && looked++ < EVICT_AT_ONCE) {
		if (!all && !PageChecked(frame))
			resting[nr_resting++] = page;
		else if (ivy_evict(region->core, page) >= 0)
			going++;
		frame = xa_find_after(&region->frames, &page, ULONG_MAX, XA_PRESENT);
	}
	region->stats.evicted_pages += going;
	*at = frame ? page : region->pages;
	region_leave(region, &batch);
	for (i = 0; i < nr_resting; i++)
		page_rest(region, resting[i]);
	return going;
}

static long evict_wanted(struct gvm_region *region)
{
	long limit = limit_pages(), over = atomic_long_read(&region->resident) - limit;

	if (over > 0)
		over += limit >> EVICT_AHEAD_SHIFT;
	return max(over, atomic_long_xchg(&region->evict_wanted, 0));
}

void evict_work_run(struct work_struct *work)
{
	struct gvm_region *region = container_of(work, struct gvm_region, evict_work);
	/* Twice round: then every page that may go has rested once. */
	long steps = 2 * atomic_long_read(&region->resident) / EVICT_AT_ONCE + 2;
	long wanted = evict_wanted(region);

	while (wanted > 0 && steps-- > 0) {
		wanted -= evict_some(region, &region->evict_hand, wanted, false);
		if (region->evict_hand >= region->pages)
			region->evict_hand = 0;
		cond_resched();
	}
}

/* Pages that are not this node's to keep: they leave when their home has said that it has them. */
static bool evict_left(struct gvm_region *region)
{
	unsigned long page;
	struct page *frame;
	bool left = false;

	rcu_read_lock();
	xa_for_each(&region->frames, page, frame) {
		left = ivy_home(region->core, page) != region->cluster->id;
		if (left)
			break;
	}
	rcu_read_unlock();
	return left;
}

void evict_all(struct gvm_region *region, unsigned int timeout_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	u64 at;

	while (evict_left(region) && time_before(jiffies, end)) {
		for (at = 0; at < region->pages; cond_resched())
			evict_some(region, &at, LONG_MAX, true);
		msleep(EVICT_POLL_MS); /* for the homes' answers */
	}
	if (evict_left(region))
		gvm_warn("%s: left with pages that their homes have not taken\n", region->name);
}

static void region_count(struct gvm_region *region, void *pages)
{
	*(unsigned long *)pages += atomic_long_read(&region->resident);
}

static unsigned long evict_count(struct shrinker *unused, struct shrink_control *control)
{
	unsigned long pages = 0;

	regions_visit(region_count, &pages);
	return pages ?: SHRINK_EMPTY;
}

static void region_ask(struct gvm_region *region, void *left)
{
	unsigned long *pages = left;
	unsigned long share = min_t(unsigned long, *pages, atomic_long_read(&region->resident));

	*pages -= share;
	atomic_long_add(share, &region->evict_wanted);
	queue_work(gvm_workqueue, &region->evict_work);
}

static unsigned long evict_scan(struct shrinker *unused, struct shrink_control *control)
{
	unsigned long left = control->nr_to_scan;

	regions_visit(region_ask, &left);
	return SHRINK_STOP; /* none is free yet */
}

int evict_init(void)
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

void evict_exit(void)
{
	gvm_shrinker_destroy(shrinker);
}
