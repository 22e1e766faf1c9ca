// SPDX-License-Identifier: GPL-2.0
/*
 * Pages whose revocation is not done: see revoke.c. A worker retries for as long as one is pinned,
 * and logs it after a while.
 */
#include <linux/delay.h>

#include "frames.h"
#include "log.h"
#include "region.h"
#include "revoke.h"
#include "workers.h"

/* Sleeps between tries, since the worker has a higher priority than the holders of the pins. */
#define AGAIN_US_MIN 50
#define AGAIN_US_MAX 4000
#define SAY_NS (10ull * NSEC_PER_SEC) /* a pin is logged after this time */

/* Tries to revoke a page. False: it is pinned; true: it is done, or no longer to be revoked. */
static bool revoke_try(struct gvm_region *region, u64 page)
{
	struct revocation revocation;
	struct gvm_batch batch;
	enum revoke_outcome outcome = gvm_revoke_begin_page(region, page, &revocation);

	if (outcome == REVOKE_DONE) {
		gvm_region_enter(region, &batch);
		gvm_revoke_end_page(region, &revocation);
		gvm_region_leave(region, &batch);
		gvm_revoke_put(&revocation);
	}
	return outcome != REVOKE_PINNED;
}

/* Whether all that is marked has been revoked. */
static bool revoke_marked(struct gvm_region *region)
{
	struct folio *frame;
	unsigned long page;
	bool done = true;

	xa_for_each_marked(&region->frames, page, frame, FRAME_REVOKE) {
		done &= revoke_try(region, page);
		cond_resched();
	}
	return done;
}

/* The next page marked for revocation after *page, cyclically: every marked page gets its turn. */
static bool pinned_next(struct gvm_region *region, unsigned long *page)
{
	if (xa_find_after(&region->frames, page, ULONG_MAX, FRAME_REVOKE))
		return true;
	*page = 0;
	return xa_find(&region->frames, page, ULONG_MAX, FRAME_REVOKE);
}

static void pinned_note(struct gvm_region *region)
{
	struct pinned *pinned = &region->pinned;
	u64 now_ns = ktime_get_boottime_ns();

	if (!pinned->since_ns || !xa_get_mark(&region->frames, pinned->page, FRAME_REVOKE)) {
		pinned->told = false;
		WRITE_ONCE(pinned->since_ns, pinned_next(region, &pinned->page) ? now_ns : 0);
	}
	if (!pinned->since_ns || pinned->told || now_ns - pinned->since_ns < SAY_NS)
		return;
	pinned->told = true;
	/* Logged at the node that has the pin, too: there an operator can find its owner. */
	gvm_warn("%s: other nodes have waited %llu s for pages that are pinned here, as page %lu\n",
		 region->name, SAY_NS / NSEC_PER_SEC, pinned->page);
}

static void pinned_oldest(struct gvm_region *region, void *oldest_ns)
{
	u64 since_ns = READ_ONCE(region->pinned.since_ns);

	if (since_ns)
		*(u64 *)oldest_ns = min(*(u64 *)oldest_ns, since_ns);
}

bool gvm_revoke_pins_wait(u64 ns)
{
	u64 now_ns = ktime_get_boottime_ns(), oldest_ns = now_ns;

	gvm_regions_visit(pinned_oldest, &oldest_ns);
	return now_ns - oldest_ns >= ns;
}

void gvm_revoke_work_run(struct work_struct *work)
{
	struct gvm_region *region =
		container_of(to_delayed_work(work), struct gvm_region, revoke_work);
	unsigned int us;

	for (us = AGAIN_US_MIN; us < AGAIN_US_MAX; us *= 2) {
		usleep_range(us, 2 * us);
		if (revoke_marked(region)) {
			WRITE_ONCE(region->pinned.since_ns, 0);
			return;
		}
	}
	pinned_note(region);
	queue_delayed_work(gvm_workqueue, &region->revoke_work, usecs_to_jiffies(AGAIN_US_MAX));
}
