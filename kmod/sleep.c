// SPDX-License-Identifier: GPL-2.0
/* Tasks that wait for the core: see sleep.h. */
#include <linux/hash.h>
#include <linux/sched/signal.h>

#include "cluster.h"
#include "log.h"
#include "opening.h"
#include "region.h"
#include "revoke.h"
#include "sleep.h"

#define SAY_S 10u /* a wait is logged after this time */
#define LOOK_JIFFIES (HZ / 4) /* interval of the checks for that, and for giving up */
/* Patience of a faulter that may itself hold pins: longer than a slow disk keeps pages pinned. */
#define PATIENCE_MS 10000
#define PATIENCE_NODE_MS 500 /* added by node id, so that not all nodes give up at once */

static struct gvm_waiters *waiters_of(struct gvm_region *region, u64 page)
{
	return &region->waiters[hash_64(page, SLEEP_BITS)];
}

void gvm_sleepers_init(struct gvm_region *region)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(region->waiters); i++) {
		init_waitqueue_head(&region->waiters[i].queue);
		INIT_LIST_HEAD(&region->waiters[i].sleepers);
	}
}

void gvm_sleeper_add(struct gvm_region *region, struct gvm_sleeper *sleeper, u64 page)
{
	lockdep_assert_held(&region->lock);
	sleeper->page = page;
	sleeper->woken = false;
	sleeper->err = 0;
	list_add_tail(&sleeper->list, &waiters_of(region, page)->sleepers);
}

void gvm_sleeper_remove(struct gvm_sleeper *sleeper)
{
	list_del(&sleeper->list);
}

void gvm_sleepers_wake(struct gvm_region *region, u64 page, int err)
{
	struct gvm_waiters *waiters = waiters_of(region, page);
	struct gvm_sleeper *sleeper;

	lockdep_assert_held(&region->lock);
	list_for_each_entry(sleeper, &waiters->sleepers, list) {
		if (sleeper->page != page)
			continue;
		sleeper->err = err;
		WRITE_ONCE(sleeper->woken, true);
	}
	wake_up_all(&waiters->queue);
}

bool gvm_sleepers_pending(struct gvm_region *region, u64 page, u64 now_ns, u64 begun_ns)
{
	struct gvm_waiters *waiters = waiters_of(region, page);
	struct gvm_sleeper *sleeper;

	lockdep_assert_held(&region->lock);
	if (waiters->woke_page == page && now_ns - waiters->woke_ns < begun_ns)
		return true;
	list_for_each_entry(sleeper, &waiters->sleepers, list)
		if (sleeper->page == page && sleeper->woken)
			return true;
	return false;
}

/* Logged, so that an operator finds the reason of a standstill. */
static void say_wait(struct gvm_region *region, u64 page)
{
	gvm_warn("%s: %s (%d) has waited %u s for page %llu, whose home is node %u\n", region->name,
		 current->comm, current->pid, SAY_S, page,
		 gvm_homes_of(&region->homes, page));
}

static bool sleeper_gives_up(const struct gvm_region *region, u64 waited_ns)
{
	u64 patience_ms = PATIENCE_MS + region->cluster->id % 8 * PATIENCE_NODE_MS;

	return waited_ns >= patience_ms * NSEC_PER_MSEC &&
	       gvm_revoke_pins_wait(patience_ms * NSEC_PER_MSEC);
}

/* The note makes the retried fault fail. */
static void give_up(struct gvm_region *region, struct gvm_sleeper *sleeper)
{
	lockdep_assert_held(&region->lock);
	sleeper->err = -EDEADLK;
	gvm_region_given_up_note(region, sleeper->page);
	region->stats.given_up_waits++;
	gvm_warn("%s: %s (%d) gave up waiting for page %llu, as other nodes wait for pages that are pinned here\n",
		 region->name, current->comm, current->pid, sleeper->page);
}

void gvm_sleeper_sleep(struct gvm_region *region, struct gvm_sleeper *sleeper, unsigned int state,
		       long timeout)
{
	struct gvm_waiters *waiters = waiters_of(region, sleeper->page);
	u64 begun_ns = ktime_get_boottime_ns(), waited_ns;
	bool said = false, given_up = false;
	DEFINE_WAIT(wait);
	long slice;

	gvm_region_provide(region);
	for (;;) {
		prepare_to_wait(&waiters->queue, &wait, state);
		if (READ_ONCE(sleeper->woken) || !timeout || given_up ||
		    signal_pending_state(state, current))
			break;
		slice = min_t(long, timeout, LOOK_JIFFIES);
		timeout -= slice - schedule_timeout(slice);
		waited_ns = ktime_get_boottime_ns() - begun_ns;
		if (waited_ns >= SAY_S * NSEC_PER_SEC && !said) {
			say_wait(region, sleeper->page);
			gvm_opening_doubt(region, ivy_home(region->core, sleeper->page));
			said = true;
		}
		given_up = sleeper->may_pin && sleeper_gives_up(region, waited_ns);
	}
	finish_wait(&waiters->queue, &wait);
	spin_lock_bh(&region->lock);
	gvm_sleeper_remove(sleeper);
	if (given_up && !sleeper->woken)
		give_up(region, sleeper);
	waiters->woke_page = sleeper->page;
	waiters->woke_ns = ktime_get_boottime_ns();
	region->stats.remote_faults += sleeper->woken;
	region->stats.remote_wait_ns += waiters->woke_ns - begun_ns;
	spin_unlock_bh(&region->lock);
}
