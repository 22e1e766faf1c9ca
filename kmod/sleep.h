/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who waits for the core to have a page, or to have discarded one. A sleeper is on the waiting
 * task's stack, and known to the region from before the core is asked, so that no answer is missed.
 */
#ifndef GVM_SLEEP_H
#define GVM_SLEEP_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>

struct gvm_region;

#define SLEEP_BITS 6

/* Those who wait for some of the pages; under region->lock, but for the queue. */
struct gvm_waiters {
	wait_queue_head_t queue;
	struct list_head sleepers;
	u64 woke_page, woke_ns; /* the last that went on, and when */
};

struct gvm_sleeper {
	struct list_head list;
	u64 page;
	/* Set by whoever waits: it may itself keep other nodes waiting; it has waited before. */
	bool may_pin, tried;
	bool woken; /* the core has answered */
	int err; /* and how; -EDEADLK: not to be waited for any longer */
};

void gvm_sleepers_init(struct gvm_region *region);

/* These need region->lock. */
void gvm_sleeper_add(struct gvm_region *region, struct gvm_sleeper *sleeper, u64 page);
void gvm_sleeper_remove(struct gvm_sleeper *sleeper);
void gvm_sleepers_wake(struct gvm_region *region, u64 page, int err);
/* Whether somebody was woken for the page and has not run since, or has only just begun to. */
bool gvm_sleepers_pending(struct gvm_region *region, u64 page, u64 now_ns, u64 begun_ns);

/*
 * Waits in that task state until the core has answered, a signal counts, the time is over, or one
 * that may pin has waited too long; removes.
 */
void gvm_sleeper_sleep(struct gvm_region *region, struct gvm_sleeper *sleeper, unsigned int state,
		       long timeout);

#endif
