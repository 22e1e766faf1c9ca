// SPDX-License-Identifier: GPL-2.0
/* Who waits for the core: see sleep.h. */
#include <linux/hash.h>
#include <linux/sched/signal.h>

#include "region.h"
#include "sleep.h"

static struct gvm_waiters *waiters_of(struct gvm_region *region, u64 page)
{
	return &region->waiters[hash_64(page, SLEEP_BITS)];
}

void sleepers_init(struct gvm_region *region)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(region->waiters); i++) {
		init_waitqueue_head(&region->waiters[i].queue);
		INIT_LIST_HEAD(&region->waiters[i].sleepers);
	}
}

void sleeper_add(struct gvm_region *region, struct gvm_sleeper *sleeper, u64 page)
{
	lockdep_assert_held(&region->lock);
	sleeper->page = page;
	sleeper->woken = false;
	sleeper->err = 0;
	list_add_tail(&sleeper->list, &waiters_of(region, page)->sleepers);
}

void sleeper_remove(struct gvm_sleeper *sleeper)
{
	list_del(&sleeper->list);
}

void sleepers_wake(struct gvm_region *region, u64 page, int err)
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

bool sleepers_pending(struct gvm_region *region, u64 page, u64 now_ns, u64 begun_ns)
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

void sleeper_sleep(struct gvm_region *region, struct gvm_sleeper *sleeper, unsigned int state,
		   long timeout)
{
	struct gvm_waiters *waiters = waiters_of(region, sleeper->page);
	u64 begun_ns = ktime_get_boottime_ns();
	DEFINE_WAIT(wait);

	for (;;) {
		prepare_to_wait(&waiters->queue, &wait, state);
		if (READ_ONCE(sleeper->woken) || !timeout || signal_pending_state(state, current))
			break;
		timeout = schedule_timeout(timeout);
	}
	finish_wait(&waiters->queue, &wait);
	spin_lock(&region->lock);
	sleeper_remove(sleeper);
	waiters->woke_page = sleeper->page;
	waiters->woke_ns = ktime_get_boottime_ns();
	region->stats.remote_faults++;
	region->stats.remote_wait_ns += waiters->woke_ns - begun_ns;
	spin_unlock(&region->lock);
}
