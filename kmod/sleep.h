/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tasks that wait for the core to get a page, or to discard one. A sleeper is on the waiting task's
 * stack, and is added to the region before the core is asked, so that no wake-up is lost.
 */
#ifndef GVM_SLEEP_H
#define GVM_SLEEP_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>

struct gvm_region;

struct gvm_sleeper {
	struct list_head list;
	u64 page;
	/* Set by the waiting task. */
	bool may_pin; /* it may itself hold pins */
	bool tried; /* the fault is a retried one */
	bool woken; /* the core has answered */
	int err; /* its answer; -EDEADLK: waited too long */
};

void gvm_sleepers_init(struct gvm_region *region);

/* These need region->lock. */
void gvm_sleeper_add(struct gvm_region *region, struct gvm_sleeper *sleeper, u64 page);
void gvm_sleeper_remove(struct gvm_sleeper *sleeper);
void gvm_sleepers_wake(struct gvm_region *region, u64 page, int err);
/* Whether a task was woken for the page and has not run since, or began to within `begun_ns`. */
bool gvm_sleepers_pending(struct gvm_region *region, u64 page, u64 now_ns, u64 begun_ns);

/*
 * Waits in that task state until the core has answered, a signal is pending that the state allows,
 * the timeout is over, or a sleeper that may hold pins has waited too long. Removes the sleeper.
 */
void gvm_sleeper_sleep(struct gvm_region *region, struct gvm_sleeper *sleeper, unsigned int state,
		       long timeout);

#endif
