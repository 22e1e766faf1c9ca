// SPDX-License-Identifier: GPL-2.0
/* Ticks and holds: see clock.h. */
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "clock.h"
#include "compat.h"
#include "frames.h"
#include "log.h"
#include "params.h"
#include "region.h"
#include "sleep.h"
#include "workers.h"

#define HOLD_NS_MAX (20 * NSEC_PER_MSEC) /* for a faulter that was woken and gets no CPU */

/*
 * A page is held so that the faulter can use it. On a busy CPU the faulter may take longer to run
 * than the hold lasts; with the page revoked before, nodes would pass it round and none would make
 * progress. So a hold is prolonged while a faulter has been woken and has not run, and for another
 * hold_us after it ran.
 */
struct hold {
	struct list_head list;
	u64 page;
	u64 begun_ns, end_ns;
};

void gvm_clock_params(struct ivy_params *params)
{
	params->hold_ns = gvm_params_hold_ns();
	params->hold_doublings = gvm_params_hold_doublings();
	params->lease_ns = gvm_params_lease_ns();
	params->retry_ns = gvm_params_retry_ns();
	/*
	 * In units of 4 us since 1970, as ivy.h suggests: no start of this node repeats a number.
	 */
	params->start = div_u64(ktime_get_real_ns(), 4 * NSEC_PER_USEC) & IVY_TXN_MAX;
}

u64 gvm_clock_now(void *region)
{
	return ktime_get_boottime_ns();
}

static void hold_timer_set(struct gvm_region *region)
{
	struct hold *next = list_first_entry_or_null(&region->holds, struct hold, list);

	if (next)
		hrtimer_start(&region->hold_timer, ns_to_ktime(next->end_ns), HRTIMER_MODE_ABS);
}

static void hold_add(struct gvm_region *region, struct hold *hold, u64 end_ns)
{
	struct hold *before;

	hold->end_ns = end_ns;
	list_for_each_entry_reverse(before, &region->holds, list)
		if (before->end_ns <= hold->end_ns)
			break;
	list_add(&hold->list, &before->list);
	if (list_is_first(&hold->list, &region->holds))
		hold_timer_set(region);
}

void gvm_clock_arm_hold(void *context, u64 page, u64 ns)
{
	struct gvm_region *region = context;
	struct hold *hold = kmalloc(sizeof(*hold), GFP_ATOMIC | __GFP_NOWARN);

	lockdep_assert_held(&region->lock);
	if (!hold) {
		xa_set_mark(&region->frames, page, FRAME_HOLD);
		return;
	}
	hold->page = page;
	hold->begun_ns = ktime_get_boottime_ns();
	hold_add(region, hold, hold->begun_ns + ns);
}

static bool hold_goes_on(struct gvm_region *region, const struct hold *hold, u64 now_ns)
{
	return now_ns - hold->begun_ns < HOLD_NS_MAX &&
	       gvm_sleepers_pending(region, hold->page, now_ns, gvm_params_hold_ns());
}

/* Takes the next hold that has ended off the list; if there is none, sets the timer: NULL. */
static struct hold *hold_take_ended(struct gvm_region *region)
{
	u64 now_ns = ktime_get_boottime_ns();
	struct hold *hold;

	lockdep_assert_held(&region->lock);
	while ((hold = list_first_entry_or_null(&region->holds, struct hold, list)) &&
	       hold->end_ns <= now_ns) {
		list_del(&hold->list);
		if (!hold_goes_on(region, hold, now_ns))
			return hold;
		hold_add(region, hold, now_ns + max(gvm_params_hold_ns(), 50 * NSEC_PER_USEC));
	}
	hold_timer_set(region);
	return NULL;
}

static void hold_work_run(struct work_struct *work)
{
	struct gvm_region *region = container_of(work, struct gvm_region, hold_work);
	struct gvm_batch batch;
	struct hold *hold;

	do {
		gvm_region_enter(region, &batch);
		hold = region->leaving ? NULL : hold_take_ended(region);
		if (hold)
			ivy_unhold(region->core, hold->page);
		gvm_region_leave(region, &batch);
		kfree(hold);
	} while (hold);
}

/* Logs changes of the core's counts that an operator should know of. */
static void tick_tell(struct gvm_region *region, const struct ivy_stats *now)
{
	struct ivy_stats *told = &region->told;

	if (now->lease_expiries != told->lease_expiries)
		gvm_warn("%s: a lease ended, since a home was out of reach or declared this node lost: %llu pages were given up\n",
			 region->name, now->given_up - told->given_up);
	if (now->lost_nodes != told->lost_nodes)
		gvm_warn("%s: %llu nodes that had pages of this home were silent for %u ms, or began anew: each page that only they had is lost, and logged\n",
			 region->name, now->lost_nodes - told->lost_nodes, gvm_params_lease_ms());
	if (now->renumbered != told->renumbered)
		gvm_warn("%s: this host's clock was set back since it was last part of the cluster\n",
			 region->name);
	*told = *now;
}

/* Waits neither for memory nor for a peer: it renews this node's leases. */
static void tick_work_run(struct work_struct *work)
{
	struct gvm_region *region = container_of(work, struct gvm_region, tick_work);
	struct gvm_batch batch;
	struct ivy_stats stats;
	struct folio *frame;
	unsigned long page;

	gvm_region_enter_atomic(region, &batch);
	region->tick_ns = U64_MAX;
	if (!region->leaving)
		ivy_tick(region->core);
	stats = *ivy_stats(region->core);
	gvm_region_leave_atomic(region, &batch);
	tick_tell(region, &stats);

	xa_for_each_marked(&region->frames, page, frame, FRAME_HOLD) {
		gvm_region_enter_atomic(region, &batch);
		xa_clear_mark(&region->frames, page, FRAME_HOLD);
		if (!region->leaving)
			ivy_unhold(region->core, page);
		gvm_region_leave_atomic(region, &batch);
	}
}

static enum hrtimer_restart tick_timer_run(struct hrtimer *timer)
{
	struct gvm_region *region = container_of(timer, struct gvm_region, tick_timer);

	queue_work(gvm_urgent, &region->tick_work);
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart hold_timer_run(struct hrtimer *timer)
{
	struct gvm_region *region = container_of(timer, struct gvm_region, hold_timer);

	queue_work(gvm_urgent, &region->hold_work);
	return HRTIMER_NORESTART;
}

void gvm_clock_init(struct gvm_region *region)
{
	region->tick_ns = U64_MAX;
	INIT_LIST_HEAD(&region->holds);
	INIT_WORK(&region->tick_work, tick_work_run);
	INIT_WORK(&region->hold_work, hold_work_run);
	hrtimer_setup(&region->tick_timer, tick_timer_run, CLOCK_BOOTTIME, HRTIMER_MODE_ABS);
	hrtimer_setup(&region->hold_timer, hold_timer_run, CLOCK_BOOTTIME, HRTIMER_MODE_ABS);
}

void gvm_clock_stop(struct gvm_region *region)
{
	struct hold *hold, *next;

	/* The region is being left: whoever drops its lock does not set the timer any more. */
	hrtimer_cancel(&region->tick_timer);
	cancel_work_sync(&region->tick_work);
	/* The core arms no holds any more, but the work may have set the timer once again. */
	cancel_work_sync(&region->hold_work);
	hrtimer_cancel(&region->hold_timer);
	cancel_work_sync(&region->hold_work);
	list_for_each_entry_safe(hold, next, &region->holds, list)
		kfree(hold);
	INIT_LIST_HEAD(&region->holds);
}
