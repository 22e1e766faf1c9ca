// SPDX-License-Identifier: GPL-2.0
/* Frames and slots: see frames.h. */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "cluster.h"
#include "compat.h"
#include "frames.h"
#include "params.h"
#include "region.h"
#include "workers.h"

/*
 * The slot lies in the list links. The kernel takes the lowest bits of their first word for flags
 * (part of a compound page; allocated from the reserves): those bytes of the slot stay 0.
 */
static struct ivy_slot *slot_of(struct page *frame)
{
	BUILD_BUG_ON(sizeof(struct ivy_slot) > sizeof(frame->lru));
	BUILD_BUG_ON(__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__);
	BUILD_BUG_ON(offsetof(struct ivy_slot, zero));
	return (struct ivy_slot *)&frame->lru;
}

/* Of a page that is not compound. The kernel's own function has another name in each version. */
static int mappings(const struct page *frame)
{
	return atomic_read(&frame->_mapcount) + 1;
}

int gvm_frame_references(const struct page *frame)
{
	int references = page_ref_count(frame);

	smp_rmb(); /* the kernel uncounts a mapping before it puts the mapping's reference */
	return references - mappings(frame) - 1;
}

struct page *gvm_frame_page(struct gvm_region *region, u64 page)
{
	lockdep_assert_held(&region->lock);
	return xa_load(&region->frames, page);
}

struct ivy_slot *gvm_frame_slot(struct gvm_region *region, u64 page)
{
	struct page *frame = gvm_frame_page(region, page);

	return frame ? slot_of(frame) : NULL;
}

static struct page *spare_take(struct gvm_region *region)
{
	if (region->nr_spares)
		return region->spares[--region->nr_spares];
	return alloc_page(GFP_ATOMIC | __GFP_NOWARN);
}

struct ivy_slot *gvm_frame_create(struct gvm_region *region, u64 page)
{
	struct page *frame;

	lockdep_assert_held(&region->lock);
	frame = spare_take(region);
	if (!frame)
		return NULL;
	frame->mapping = region->inode->i_mapping;
	frame->index = page;
	memset(slot_of(frame), 0, sizeof(struct ivy_slot));
	if (xa_err(xa_store(&region->frames, page, frame, GFP_ATOMIC | __GFP_NOWARN))) {
		frame->mapping = NULL;
		put_page(frame);
		return NULL;
	}
	atomic_long_inc(&region->resident);
	if (gvm_cluster_keeps(region->cluster, page))
		atomic_long_inc(&region->kept);
	else if (gvm_region_evictable(region) > gvm_params_cache_pages())
		queue_work(gvm_evictions, &region->evict_work);
	return slot_of(frame);
}

static void frame_free(struct gvm_region *region, u64 page, struct page *frame)
{
	/*
	 * A reference that is left, of a send or a pin, keeps memory that is no page of the region.
	 */
	frame->mapping = NULL;
	put_page(frame);
	atomic_long_dec(&region->resident);
	if (gvm_cluster_keeps(region->cluster, page))
		atomic_long_dec(&region->kept);
}

void gvm_frame_destroy(struct gvm_region *region, u64 page)
{
	struct page *frame;

	lockdep_assert_held(&region->lock);
	frame = xa_erase(&region->frames, page);
	if (frame)
		frame_free(region, page, frame);
}

struct page *gvm_frame_get(struct gvm_region *region, u64 page)
{
	struct page *frame;

	rcu_read_lock();
	frame = xa_load(&region->frames, page);
	/*
	 * A freed frame may have been allocated for anything: look it up again with the reference.
	 */
	if (frame && !get_page_unless_zero(frame))
		frame = NULL;
	if (frame && xa_load(&region->frames, page) != frame) {
		put_page(frame);
		frame = NULL;
	}
	rcu_read_unlock();
	return frame;
}

enum ivy_right gvm_frame_right(struct gvm_region *region, u64 page, const struct page *frame)
{
	enum ivy_right right = IVY_I;

	spin_lock_bh(&region->lock);
	if (gvm_frame_page(region, page) == frame)
		right = ivy_right(region->core, page);
	spin_unlock_bh(&region->lock);
	return right;
}

struct page *gvm_frame_lock(struct gvm_region *region, u64 page, enum ivy_right right)
{
	struct page *frame = gvm_frame_get(region, page);

	if (!frame)
		return NULL;
	lock_page(frame);
	if (gvm_frame_right(region, page, frame) >= right) {
		ClearPageChecked(frame); /* in use: see evict.c */
		return frame;
	}
	unlock_page(frame);
	put_page(frame);
	return NULL;
}

void gvm_frames_destroy(struct gvm_region *region)
{
	struct page *frame;
	unsigned long page;

	xa_for_each(&region->frames, page, frame) {
		spin_lock_bh(&region->lock);
		gvm_frame_destroy(region, page);
		spin_unlock_bh(&region->lock);
		cond_resched();
	}
	xa_destroy(&region->frames);
	while (region->nr_spares)
		put_page(region->spares[--region->nr_spares]);
}
