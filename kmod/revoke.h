/* SPDX-License-Identifier: GPL-2.0 */
/* Taking mappings down to the right that the core has left: see revoke.c. */
#ifndef GVM_REVOKE_H
#define GVM_REVOKE_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct gvm_region;

/* The core's callback: ivy_env.revoke. */
int revoke_begin(void *region, u64 page, enum ivy_right right, u64 deadline_ns);
/* Does what was begun, or lets the worker try again. Sleeps; no page is locked by the caller. */
void revoke_page(struct gvm_region *region, u64 page);
void revoke_work_run(struct work_struct *work);
/* Makes the worker look for pages that are marked to be revoked. */
void revoke_later(struct gvm_region *region);

#endif
