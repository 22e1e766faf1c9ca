/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Giving memory back: pages that others also have are dropped, pages that are owned here go to
 * their home. Begun by a limit (the parameter cache_mb), by the kernel's reclaim, and when a region
 * is left.
 */
#ifndef GVM_EVICT_H
#define GVM_EVICT_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct gvm_region;

/*
 * Pages on their way home at once. More than a slow home takes before the core sends them again
 * would fill the way to it with repetitions, and a lease's renewal would wait behind these.
 */
#define EVICT_GOING_MAX 64

/* Under region->lock. */
struct evictions {
	unsigned int nr_going;
	u64 going[EVICT_GOING_MAX];
	unsigned long moved; /* when a page last went, in jiffies */
	unsigned long patient; /* the same, or when one was last begun with or given up */
};

int gvm_evict_init(void);
void gvm_evict_exit(void);

void gvm_evict_work_run(struct work_struct *work);
/*
 * Pages here that are not this node's to keep: they leave when their home has said that it has
 * them.
 */
unsigned long gvm_evict_left(struct gvm_region *region);
/*
 * Sends home what is owned here. Sleeps. 0: nothing is any more. -EIO: the same, but a lease has
 * ended meanwhile, and pages with it. -ETIMEDOUT: for a while none went. -EINTR, only if
 * `killable`.
 */
int gvm_evict_all(struct gvm_region *region, bool killable);

#endif
