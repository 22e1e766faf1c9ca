/* SPDX-License-Identifier: GPL-2.0 */
/* Taking mappings down to the right that the core has left: see revoke.c. */
#ifndef GVM_REVOKE_H
#define GVM_REVOKE_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "ivy/ivy.h"

struct gvm_region;
struct folio;

/* The core's callback: ivy_env.revoke. */
int gvm_revoke_begin(void *region, u64 page, enum ivy_right right, u64 deadline_ns);

/* A revocation that is done in the hardware, and of which the core is to be told. */
struct revocation {
	struct folio *frame;
	u64 page;
	enum ivy_right done;
	bool fenced; /* it is pinned, and the lease has ended */
};

enum revoke_outcome {
	REVOKE_NOTHING, /* it is no longer to be revoked */
	REVOKE_PINNED, /* it is pinned: try again */
	REVOKE_DONE,
};

/* Takes the mappings of a page down. Sleeps; no page is locked by the caller. */
enum revoke_outcome gvm_revoke_begin_page(struct gvm_region *region, u64 page,
					  struct revocation *revocation);
/* Tells the core that the revocation is done. Under region->lock. */
void gvm_revoke_end_page(struct gvm_region *region, const struct revocation *revocation);
/*
 * Puts the frame. Only after region->lock has been dropped: until then the reference keeps
 * gvm_revoke_begin() from taking the page for unused.
 */
void gvm_revoke_put(const struct revocation *revocation);
/* Leaves marked pages to the worker: one is `pinned`, or the batch was full. Takes region->lock. */
void gvm_revoke_wait(struct gvm_region *region, bool pinned);
void gvm_revoke_work_run(struct work_struct *work);
/* Queues the worker, which revokes marked pages. */
void gvm_revoke_later(struct gvm_region *region);
/* Whether other nodes have waited that long for a page of any region that is pinned here. */
bool gvm_revoke_pins_wait(u64 ns);

#endif
