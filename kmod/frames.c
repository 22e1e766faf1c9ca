// SPDX-License-Identifier: GPL-2.0
/* Frames and slots: see frames.h. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "cluster.h"
#include "compat.h"
#include "frames.h"
#include "params.h"
#include "region.h"
#include "workers.h"

/*
 * The slot lies in the list links, unless slots are apart. The kernel takes the lowest bits of
 * their first word for flags (part of a compound page; allocated from the reserves; of a network
 * device's pool): those bytes of the slot stay 0.
 */
static struct ivy_slot *slot_of(struct gvm_region *region, u64 page, struct folio *frame)
{
	BUILD_BUG_ON(sizeof(struct ivy_slot) > sizeof(frame->lru));
	BUILD_BUG_ON(__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__);
	BUILD_BUG_ON(offsetof(struct ivy_slot, zero));
	return GVM_SLOTS_APART ? xa_load(&region->slots, page) : (struct ivy_slot *)&frame->lru;
}

static void slot_destroy(struct gvm_region *region, u64 page)
{
	if (GVM_SLOTS_APART)
		kfree(xa_erase(&region->slots, page));
}

/* The slot of a new frame; NULL: no memory. */
static struct ivy_slot *slot_create(struct gvm_region *region, u64 page, struct folio *frame)
{
	struct ivy_slot *slot;

	if (!GVM_SLOTS_APART) {
		slot = slot_of(region, page, frame);
		memset(slot, 0, sizeof(*slot));
		return slot;
	}
	slot = kzalloc(sizeof(*slot), GFP_ATOMIC | __GFP_NOWARN);
	if (slot && xa_err(xa_store(&region->slots, page, slot, GFP_ATOMIC | __GFP_NOWARN))) {
		kfree(slot);
		return NULL;
	}
	return slot;
}

/* Of a single page. The kernel's own function has another name in each version. */
static int mappings(const struct folio *frame)
{
	return atomic_read(&frame->_mapcount) + 1;
}

int gvm_frame_references(const struct folio *frame)
{
	int references = folio_ref_count(frame);

	smp_rmb(); /* the kernel uncounts a mapping before it puts the mapping's reference */
	return references - mappings(frame) - 1;
}

struct folio *gvm_frame_page(struct gvm_region *region, u64 page)
{
	lockdep_assert_held(&region->lock);
	return xa_load(&region->frames, page);
}

struct ivy_slot *gvm_frame_slot(struct gvm_region *region, u64 page)
{
	struct folio *frame = gvm_frame_page(region, page);

	return frame ? slot_of(region, page, frame) : NULL;
}

static struct folio *spare_take(struct gvm_region *region)
{
	if (region->nr_spares)
		return region->spares[--region->nr_spares];
	return folio_alloc(GFP_ATOMIC | __GFP_NOWARN, 0);
}

struct ivy_slot *gvm_frame_create(struct gvm_region *region, u64 page)
{
	struct ivy_slot *slot;
	struct folio *frame;

	lockdep_assert_held(&region->lock);
	frame = spare_take(region);
	if (!frame)
		return NULL;
	frame->mapping = region->inode->i_mapping;
	frame->index = page;
	slot = slot_create(region, page, frame);
	if (!slot || xa_err(xa_store(&region->frames, page, frame, GFP_ATOMIC | __GFP_NOWARN))) {
		slot_destroy(region, page);
		frame->mapping = NULL;
		folio_put(frame);
		return NULL;
	}
	atomic_long_inc(&region->resident);
	if (gvm_homes_of(&region->homes, page) == region->cluster->id)
		atomic_long_inc(&region->kept);
	else if (gvm_region_evictable(region) > gvm_params_cache_pages())
		queue_work(gvm_evictions, &region->evict_work);
	return slot;
}

static void frame_free(struct gvm_region *region, u64 page, struct folio *frame)
{
	/*
	 * A reference that is left, of a send or a pin, keeps memory that is no page of the region.
	 */
	frame->mapping = NULL;
	folio_put(frame);
	atomic_long_dec(&region->resident);
	if (gvm_homes_of(&region->homes, page) == region->cluster->id)
		atomic_long_dec(&region->kept);
}

void gvm_frame_destroy(struct gvm_region *region, u64 page)
{
	struct folio *frame;

	lockdep_assert_held(&region->lock);
	frame = xa_erase(&region->frames, page);
	if (!frame)
		return;
	slot_destroy(region, page);
	frame_free(region, page, frame);
}

struct folio *gvm_frame_get(struct gvm_region *region, u64 page)
{
	struct folio *frame;

	rcu_read_lock();
	frame = xa_load(&region->frames, page);
	/*
	 * A freed frame may have been allocated for anything: look it up again with the reference.
	 */
	if (frame && !folio_try_get(frame))
		frame = NULL;
	if (frame && xa_load(&region->frames, page) != frame) {
		folio_put(frame);
		frame = NULL;
	}
	rcu_read_unlock();
	return frame;
}

enum ivy_right gvm_frame_right(struct gvm_region *region, u64 page, const struct folio *frame)
{
	enum ivy_right right = IVY_I;

	spin_lock_bh(&region->lock);
	if (gvm_frame_page(region, page) == frame)
		right = ivy_right(region->core, page);
	spin_unlock_bh(&region->lock);
	return right;
}

struct folio *gvm_frame_lock(struct gvm_region *region, u64 page, enum ivy_right right)
{
	struct folio *frame = gvm_frame_get(region, page);

	if (!frame)
		return NULL;
	folio_lock(frame);
	if (gvm_frame_right(region, page, frame) >= right) {
		folio_clear_checked(frame); /* in use: see evict.c */
		return frame;
	}
	folio_unlock(frame);
	folio_put(frame);
	return NULL;
}

void gvm_frames_destroy(struct gvm_region *region)
{
	struct folio *frame;
	unsigned long page;

	xa_for_each(&region->frames, page, frame) {
		spin_lock_bh(&region->lock);
		gvm_frame_destroy(region, page);
		spin_unlock_bh(&region->lock);
		cond_resched();
	}
	xa_destroy(&region->frames);
	xa_destroy(&region->slots);
	while (region->nr_spares)
		folio_put(region->spares[--region->nr_spares]);
}
