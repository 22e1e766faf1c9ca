// SPDX-License-Identifier: GPL-2.0
/*
 * Revocation: the hardware's rights follow the core's.
 *
 * The core has lowered the slot's right already. Under the page's lock the mappings are zapped or
 * write-protected; MMU notifiers pass that on to KVM. A fault that was answered before kept the
 * page locked until it was mapped, so its mapping is undone; a later one sees the lower right.
 *
 * After that there may be references without a mapping: the kernel itself, or a device, still reads
 * or writes the page (process_vm_writev, O_DIRECT, a registered buffer). For these the revocation
 * waits, without the page's lock, by trying again. Faults on the page at other nodes wait as long;
 * so a long-term pin keeps the page at this node. Kernels from 6.5 on refuse long-term pins for
 * writing. A faulter that may hold pins itself gives up after a while, since two such faulters may
 * wait for each other: see fault.c.
 *
 * If this node's lease ends meanwhile the revocation no longer waits: the pinned memory is then no
 * page of the region any more, writes to it are lost, and a warning is logged.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched.h>

#include "frames.h"
#include "log.h"
#include "region.h"
#include "revoke.h"
#include "trace.h"
#include "workers.h"

#define TRIES 2 /* at once: most references are short-lived, of faults under way */

/* The reference of the xarray. */
#define OWN_REFERENCES 1

int gvm_revoke_begin(void *context, u64 page, enum ivy_right right, u64 deadline_ns)
{
	struct gvm_region *region = context;
	struct folio *frame = gvm_frame_page(region, page);
	struct gvm_batch *batch = region->batch;

	if (right == IVY_I)
		region->stats.revoked_pages++;
	else
		region->stats.downgraded_pages++;
	gvm_contended_count(&region->contended, page);
	/* Unused: not mapped, not about to be (that takes the page's lock), and not pinned. */
	if (folio_trylock(frame)) {
		bool unused = folio_ref_count(frame) == OWN_REFERENCES;

		folio_unlock(frame);
		if (unused && !xa_get_mark(&region->frames, page, FRAME_REVOKE))
			return 1;
	}
	/*
	 * Without memory for this a pin is waited for beyond the lease's end: late, but not wrong.
	 */
	if (deadline_ns)
		xa_store(&region->lease_ends, page,
			 xa_mk_value(div_u64(deadline_ns, NSEC_PER_MSEC)),
			 GFP_ATOMIC | __GFP_NOWARN);
	xa_set_mark(&region->frames, page, FRAME_REVOKE);
	if (batch->nr_revocations < BATCH_REVOCATIONS)
		batch->revocations[batch->nr_revocations++] = page;
	else
		gvm_revoke_later(region);
	return 0;
}

/*
 * Claims the page's revocation, if it is still to be done: from then on no other task tells the
 * core that it is, so the page cannot be granted and revoked again meanwhile. Under the page's
 * lock.
 */
static bool revoke_claim(struct gvm_region *region, u64 page, struct folio *frame,
			 enum ivy_right *right)
{
	bool claimed;

	spin_lock_bh(&region->lock);
	claimed = gvm_frame_page(region, page) == frame &&
		  xa_get_mark(&region->frames, page, FRAME_REVOKE);
	if (claimed) {
		xa_clear_mark(&region->frames, page, FRAME_REVOKE);
		*right = ivy_slot_right(gvm_frame_slot(region, page));
	}
	spin_unlock_bh(&region->lock);
	return claimed;
}

static void revoke_unclaim(struct gvm_region *region, u64 page, struct folio *frame)
{
	spin_lock_bh(&region->lock);
	if (gvm_frame_page(region, page) == frame)
		xa_set_mark(&region->frames, page, FRAME_REVOKE);
	spin_unlock_bh(&region->lock);
}

/* Takes the mappings down. Returns the references that are left: pins. Under the page's lock. */
static int revoke_mappings(struct gvm_region *region, u64 page, struct folio *frame,
			   enum ivy_right right)
{
	if (right == IVY_I)
		unmap_mapping_pages(region->inode->i_mapping, page, 1, false);
	else if (right == IVY_S)
		folio_mkclean(frame);
	return gvm_frame_references(frame) - 1;
}

static bool lease_ended(struct gvm_region *region, u64 page)
{
	void *end_ms = xa_load(&region->lease_ends, page);

	return end_ms && gvm_region_now_ms() >= xa_to_value(end_ms);
}

/* Lowers the hardware's right, to *right; false: there was nothing to revoke. */
static bool revoke_locked(struct gvm_region *region, u64 page, struct folio *frame,
			  enum ivy_right *right, int *pins)
{
	int i;

	folio_lock(frame);
	if (!revoke_claim(region, page, frame, right)) {
		folio_unlock(frame);
		return false;
	}
	*pins = revoke_mappings(region, page, frame, *right);
	folio_unlock(frame);
	for (i = 1; *pins > 0 && i < TRIES; i++) {
		folio_lock(frame);
		*pins = revoke_mappings(region, page, frame, *right);
		folio_unlock(frame);
	}
	return true;
}

enum revoke_outcome gvm_revoke_begin_page(struct gvm_region *region, u64 page,
					  struct revocation *revocation)
{
	struct folio *frame = gvm_frame_get(region, page);
	enum ivy_right right = IVY_I;
	bool fenced;
	int pins;

	if (!frame)
		return REVOKE_NOTHING;
	if (!revoke_locked(region, page, frame, &right, &pins)) {
		folio_put(frame);
		return REVOKE_NOTHING;
	}
	trace_gvm_revoke(region->tag, page, right, pins);
	fenced = pins > 0 && right == IVY_I && lease_ended(region, page);
	if (fenced)
		gvm_warn("%s: page %llu is pinned beyond this node's lease\n", region->name, page);
	if (pins > 0 && !fenced) {
		revoke_unclaim(region, page, frame);
		folio_put(frame);
		return REVOKE_PINNED;
	}
	*revocation = (struct revocation){ frame, page, right, fenced };
	return REVOKE_DONE;
}

void gvm_revoke_end_page(struct gvm_region *region, const struct revocation *revocation)
{
	u64 page = revocation->page;
	struct ivy_slot *slot;

	lockdep_assert_held(&region->lock);
	slot = gvm_frame_slot(region, page);
	if (region->leaving || !slot || xa_get_mark(&region->frames, page, FRAME_REVOKE))
		return; /* marked: the core lowered the right further, and the worker goes on */
	if (ivy_slot_right(slot) < revocation->done) {
		/* The core has lowered the right further meanwhile: revoke once more. */
		xa_set_mark(&region->frames, page, FRAME_REVOKE);
		gvm_revoke_later(region);
		return;
	}
	xa_erase(&region->lease_ends, page);
	if (revocation->fenced)
		region->stats.fenced_pins++;
	ivy_revoked(region->core, page);
}

void gvm_revoke_put(const struct revocation *revocation)
{
	folio_put(revocation->frame);
}

void gvm_revoke_wait(struct gvm_region *region, bool pinned)
{
	spin_lock_bh(&region->lock);
	/*
	 * gvm_region_end() sets `leaving` and cancels the work: it must not be queued after that.
	 */
	if (!region->leaving) {
		region->stats.pin_waits += pinned;
		gvm_revoke_later(region);
	}
	spin_unlock_bh(&region->lock);
}

void gvm_revoke_later(struct gvm_region *region)
{
	queue_delayed_work(gvm_workqueue, &region->revoke_work, 0);
}
