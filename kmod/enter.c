// SPDX-License-Identifier: GPL-2.0
/*
 * The lock of a region's core: see region.h.
 *
 * The task that releases the lock carries out the core's batch: it sends to peers and revokes
 * pages. The end of a revocation enters the core again, and may add to the batch; the same loop
 * carries that out, too.
 */
#include <linux/mm.h>

#include "memory.h"
#include "peer.h"
#include "region.h"
#include "revoke.h"

void gvm_region_provide(struct gvm_region *region)
{
	bool kept = true;
	struct folio *spare;

	while (kept && READ_ONCE(region->nr_spares) < REGION_SPARES) {
		spare = folio_alloc(GFP_DISPENSABLE, 0);
		if (!spare)
			return;
		spin_lock_bh(&region->lock);
		/* A region that is being left gets none: they would leak. */
		kept = region->nr_spares < REGION_SPARES && !region->leaving;
		if (kept)
			region->spares[region->nr_spares++] = spare;
		spin_unlock_bh(&region->lock);
		if (!kept)
			folio_put(spare);
	}
}

/*
 * Sets the timer, if the next tick is due before its end. Later ones are left for the tick then: so
 * the timer is set once in retry_ms, whatever faults come and go.
 */
static void tick_plan(struct gvm_region *region)
{
	u64 due_ns = region->leaving ? U64_MAX : ivy_due(region->core);

	lockdep_assert_held(&region->lock);
	if (due_ns >= region->tick_ns)
		return;
	region->tick_ns = due_ns;
	hrtimer_start(&region->tick_timer, ns_to_ktime(due_ns), HRTIMER_MODE_ABS);
}

void gvm_region_enter_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__acquires(&region->lock)
{
	batch->nr_peers = 0;
	batch->nr_revocations = 0;
	spin_lock_bh(&region->lock);
	region->batch = batch;
}

void gvm_region_leave_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock)
{
	unsigned int i;

	region->batch = NULL;
	for (i = 0; i < batch->nr_peers; i++)
		gvm_peer_transmit_later(batch->peers[i]);
	/*
	 * The pages are marked; the worker finds them. Not once `leaving` is set: see
	 * gvm_revoke_wait().
	 */
	if (batch->nr_revocations && !region->leaving)
		gvm_revoke_later(region);
	tick_plan(region);
	spin_unlock_bh(&region->lock);
}

void gvm_region_enter(struct gvm_region *region, struct gvm_batch *batch)
	__acquires(&region->lock)
{
	if (!READ_ONCE(region->nr_spares))
		gvm_region_provide(region);
	gvm_region_enter_atomic(region, batch);
}

/* Releases the lock, and sends. Revocations stay in the batch. */
static void batch_send(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock)
{
	unsigned int i;

	region->batch = NULL;
	tick_plan(region);
	spin_unlock_bh(&region->lock);
	for (i = 0; i < batch->nr_peers; i++)
		gvm_peer_transmit(batch->peers[i]);
}

/* Revokes a page; revocations that the core then asks for are in the batch. */
static void batch_revoke(struct gvm_region *region, u64 page, struct gvm_batch *batch)
{
	struct revocation revocation;

	batch->nr_revocations = 0;
	switch (gvm_revoke_begin_page(region, page, &revocation)) {
	case REVOKE_NOTHING:
		return;
	case REVOKE_PINNED:
		gvm_revoke_wait(region, true);
		return;
	case REVOKE_DONE:
		break;
	}
	gvm_region_enter(region, batch);
	gvm_revoke_end_page(region, &revocation);
	if (region->leaving)
		batch->nr_revocations = 0;
	batch_send(region, batch);
	gvm_revoke_put(&revocation);
}

void gvm_region_leave(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock)
{
	/* Unmapping needs the inode, which may be freed as soon as the region has been left. */
	unsigned int i, nr = region->leaving ? 0 : batch->nr_revocations;
	u64 pages[BATCH_REVOCATIONS];

	if (nr)
		ihold(region->inode);
	memcpy(pages, batch->revocations, nr * sizeof(*pages));
	batch_send(region, batch);
	if (!nr)
		return;
	while (nr) {
		batch_revoke(region, pages[--nr], batch);
		/* Pages for which there is no room are marked: the worker revokes them. */
		for (i = 0; i < batch->nr_revocations; i++) {
			if (nr < BATCH_REVOCATIONS)
				pages[nr++] = batch->revocations[i];
			else
				gvm_revoke_wait(region, false);
		}
	}
	iput(region->inode);
}
