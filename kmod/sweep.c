// SPDX-License-Identifier: GPL-2.0
/*
 * Sweeps: see sweep.h.
 *
 * Once the core has asked for a sweep, ivy_right() gives faults no right to a page of the ended
 * lease. One call unmaps the whole region: homes take turns page by page, so there are no ranges of
 * one home; accesses to other homes' pages fault again and find them here. A fault that was
 * answered before may map its page after that call has passed it; but then the page is locked or
 * mapped when its frame is visited. So the sweep visits all frames, which takes no lock and less
 * time than the unmapping, and unmaps such pages under their lock.
 *
 * A sweep has to be over by the deadline, when the home gives the pages to others. It takes time
 * for each mapped page, but waits for no message, no lock of the core and, as a rule, no page's.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include "cluster.h"
#include "frames.h"
#include "log.h"
#include "region.h"
#include "sweep.h"
#include "workers.h"

void gvm_sweep_begin(void *context, u64 deadline_ns)
{
	struct gvm_region *region = context;
	struct sweeps *sweeps = &region->sweeps;

	lockdep_assert_held(&region->lock);
	if (!sweeps->due_ns || deadline_ns < sweeps->due_ns)
		sweeps->due_ns = deadline_ns;
	queue_work(gvm_urgent, &region->sweep_work);
}

void gvm_sweep_ending(void *context)
{
	struct gvm_region *region = context;

	lockdep_assert_held(&region->lock);
	queue_work(gvm_urgent, &region->sweep_work);
}

/* Whether a fault may have mapped the page, or be about to. */
static bool frame_may_be_mapped(struct folio *frame)
{
	if (folio_test_locked(frame))
		return true;
	smp_rmb(); /* a fault maps the page before it unlocks it */
	return folio_mapped(frame);
}

static void frame_unmap(struct gvm_region *region, u64 page)
{
	struct folio *frame = gvm_frame_get(region, page);

	if (!frame)
		return;
	folio_lock(frame);
	if (folio_mapped(frame) && gvm_frame_right(region, page, frame) == IVY_I)
		unmap_mapping_pages(region->inode->i_mapping, page, 1, false);
	folio_unlock(frame);
	folio_put(frame);
}

static void unmap_late(struct gvm_region *region)
{
	XA_STATE(at, &region->frames, 0);
	struct folio *frame;

	rcu_read_lock();
	xas_for_each(&at, frame, ULONG_MAX) {
		if (xas_retry(&at, frame))
			continue;
		if (!need_resched() && !frame_may_be_mapped(frame))
			continue;
		xas_pause(&at);
		rcu_read_unlock();
		if (frame_may_be_mapped(frame))
			frame_unmap(region, at.xa_index);
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
}

static void sweep(struct gvm_region *region)
{
	struct sweeps *sweeps = &region->sweeps;
	u64 begun_ns = ktime_get_boottime_ns(), now_ns, due_ns;

	spin_lock_bh(&region->lock);
	due_ns = sweeps->due_ns;
	sweeps->due_ns = 0;
	spin_unlock_bh(&region->lock);
	if (!due_ns)
		return;
	unmap_mapping_pages(region->inode->i_mapping, 0, 0, false);
	unmap_late(region);
	now_ns = ktime_get_boottime_ns();
	if (now_ns > due_ns)
		gvm_warn("%s: this node's pages were unmapped %llu ms after the end of its lease: it stood still, or has too many pages for its lease_ms; others may have written them meanwhile\n",
			 region->name, div_u64(now_ns - due_ns, NSEC_PER_MSEC));
	spin_lock_bh(&region->lock);
	sweeps->nr++;
	sweeps->ns_max = max(sweeps->ns_max, now_ns - begun_ns);
	spin_unlock_bh(&region->lock);
}

/* Whether the core has more slots to free, and no sweep is due. Waits for no memory. */
static bool ending_some(struct gvm_region *region)
{
	struct gvm_batch batch;
	bool more;

	gvm_region_enter_atomic(region, &batch);
	more = !region->leaving && ivy_ending(region->core) && !region->sweeps.due_ns;
	gvm_region_leave_atomic(region, &batch);
	return more;
}

void gvm_sweep_work_run(struct work_struct *work)
{
	struct gvm_region *region = container_of(work, struct gvm_region, sweep_work);

	sweep(region);
	while (ending_some(region))
		cond_resched();
}
