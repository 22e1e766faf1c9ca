/* SPDX-License-Identifier: GPL-2.0 */
/* Taking mappings down to the right that the core has left: see revoke.c. */
#ifndef GVM_REVOKE_H
#define GVM_REVOKE_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "ivy/ivy.h"

struct gvm_region;
struct page;

/* What has kept others waiting for the longest; `page` and `told` are revoke_work's alone. */
struct pinned {
	u64 since_ns; /* of the boot clock; 0: nothing is pinned that others wait for */
	unsigned long page;
	bool told; /* in the log */
};

/* The core's callback: ivy_env.revoke. */
int gvm_revoke_begin(void *region, u64 page, enum ivy_right right, u64 deadline_ns);

/* What was done to a page in the hardware, and the core is to be told. */
struct revocation {
	struct page *frame;
	u64 page;
	enum ivy_right done;
	bool fenced; /* somebody has it pinned, and the lease has ended */
};

enum revoke_outcome {
	REVOKE_NOTHING, /* it is not to be revoked any more */
	REVOKE_PINNED, /* not yet: somebody has it pinned */
	REVOKE_DONE,
};

/* Takes the mappings of a page down. Sleeps; no page is locked by the caller. */
enum revoke_outcome gvm_revoke_begin_page(struct gvm_region *region, u64 page,
					  struct revocation *revocation);
/* Tells the core of one that is done. Under region->lock. */
void gvm_revoke_end_page(struct gvm_region *region, const struct revocation *revocation);
/*
 * Not before the lock has been let go of: the reference keeps gvm_revoke_begin() from finding that
 * nothing is to be done.
 */
void gvm_revoke_put(const struct revocation *revocation);
/* The worker goes on, with a page that is `pinned` or had no room. Takes region->lock. */
void gvm_revoke_wait(struct gvm_region *region, bool pinned);
void gvm_revoke_work_run(struct work_struct *work);
/* Makes the worker look for pages that are marked to be revoked. */
void gvm_revoke_later(struct gvm_region *region);
/* Whether in any region others have waited for so long for a page that is pinned here. */
bool gvm_revoke_pins_wait(u64 ns);

#endif
