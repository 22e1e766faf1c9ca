/* SPDX-License-Identifier: GPL-2.0 */
/* Taking mappings down to the right that the core has left: see revoke.c. */
#ifndef GVM_REVOKE_H
#define GVM_REVOKE_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct gvm_region;

/* What has kept others waiting for the longest; `page` and `told` are revoke_work's alone. */
struct pinned {
	u64 since_ns; /* of the boot clock; 0: nothing is pinned that others wait for */
	unsigned long page;
	bool told; /* in the log */
};

/* The core's callback: ivy_env.revoke. */
int revoke_begin(void *region, u64 page, enum ivy_right right, u64 deadline_ns);
/* Does what was begun, or lets the worker try again. Sleeps; no page is locked by the caller. */
void revoke_page(struct gvm_region *region, u64 page);
void revoke_work_run(struct work_struct *work);
/* Makes the worker look for pages that are marked to be revoked. */
void revoke_later(struct gvm_region *region);
/* Whether in any region others have waited for so long for a page that is pinned here. */
bool revoke_pins_wait(u64 ns);

#endif
