/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Giving memory back: pages that others also have are dropped, pages that are owned here go to their
 * home. Begun by a limit (the parameter cache_mb), by the kernel's reclaim, and when a region is left.
 */
#ifndef GVM_EVICT_H
#define GVM_EVICT_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct gvm_region;

int evict_init(void);
void evict_exit(void);

/* A page became resident: begins to evict where that is too many. Any context. */
void evict_check(struct gvm_region *region, long resident);
void evict_work_run(struct work_struct *work);
/* Sends home what is owned here, until nothing is or the time is over. Sleeps. */
void evict_all(struct gvm_region *region, unsigned int timeout_ms);

#endif
