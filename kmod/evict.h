/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Eviction: clean copies are dropped, pages that are owned here go to their home. It is started by
 * the limit (parameter cache_mb), by the kernel's reclaim, and when a region is left.
 */
#ifndef GVM_EVICT_H
#define GVM_EVICT_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct gvm_region;

int gvm_evict_init(void);
void gvm_evict_exit(void);

void gvm_evict_work_run(struct work_struct *work);
/* Resident pages whose home is another node; each leaves when its home has confirmed it. */
unsigned long gvm_evict_left(struct gvm_region *region);
/*
 * Evicts all pages whose home is another node. Sleeps.
 * 0: none is left.
 * -EIO: none is left, but a lease has ended meanwhile, and pages were lost with it.
 * -ETIMEDOUT: the homes have taken no page for 10 s; `forced`: or for a second, and none of them
 * can be reached.
 * -EINTR: killed; not if `forced`.
 */
int gvm_evict_all(struct gvm_region *region, bool forced);

#endif
