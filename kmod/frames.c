// SPDX-License-Identifier: GPL-2.0
/* Frames and slots: see frames.h. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "compat.h"
#include "evict.h"
#include "frames.h"
#include "region.h"

static struct kmem_cache *slots;

int frames_init(void)
{
	slots = kmem_cache_create("giantvm_slot", sizeof(struct ivy_slot), 0, 0, NULL);
	return slots ? 0 : -ENOMEM;
}

void frames_exit(void)
{
	kmem_cache_destroy(slots);
}

struct page *frame_page(struct gvm_region *region, u64 page)
{
	lockdep_assert_held(&region->lock);
	return xa_load(&region->frames, page);
}

struct ivy_slot *frame_slot(struct gvm_region *region, u64 page)
{
	struct page *frame = frame_page(region, page);

	return frame ? (struct ivy_slot *)page_private(frame) : NULL;
}

static struct page *spare_take(struct gvm_region *region)
{
	if (region->nr_spares)
		return region->spares[--region->nr_spares];
	return alloc_page(GFP_ATOMIC | __GFP_NOWARN);
}

struct ivy_slot *frame_create(struct gvm_region *region, u64 page)
{
	struct ivy_slot *slot = kmem_cache_zalloc(slots, GFP_ATOMIC | __GFP_NOWARN);
	struct page *frame;

	lockdep_assert_held(&region->lock);
	if (!slot)
		return NULL;
	frame = spare_take(region);
	if (!frame)
		goto free_slot;
	frame->mapping = region->inode->i_mapping;
	frame->index = page;
	set_page_private(frame, (unsigned long)slot);
	if (xa_err(xa_store(&region->frames, page, frame, GFP_ATOMIC | __GFP_NOWARN)))
		goto free_frame;
	evict_check(region, atomic_long_inc_return(&region->resident));
	return slot;

free_frame:
	set_page_private(frame, 0);
	frame->mapping = NULL;
	put_page(frame);
free_slot:
	kmem_cache_free(slots, slot);
	return NULL;
}

static void frame_free(struct gvm_region *region, struct page *frame)
{
	struct ivy_slot *slot = (struct ivy_slot *)page_private(frame);

	/*
	 * Whoever still has a reference, to send it or as a pin, has memory that is nobody's page.
	 */
	set_page_private(frame, 0);
	frame->mapping = NULL;
	put_page(frame);
	kmem_cache_free(slots, slot);
	atomic_long_dec(&region->resident);
}

void frame_destroy(struct gvm_region *region, u64 page)
{
	struct page *frame;

	lockdep_assert_held(&region->lock);
	frame = xa_erase(&region->frames, page);
	if (frame)
		frame_free(region, frame);
}

struct page *frame_get(struct gvm_region *region, u64 page)
{
	struct page *frame;

	rcu_read_lock();
	frame = xa_load(&region->frames, page);
	/*
	 * A freed one may have become anything: so it is looked up again once it cannot be freed.
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

enum ivy_right frame_right(struct gvm_region *region, u64 page, const struct page *frame)
{
	enum ivy_right right = IVY_I;

	spin_lock_bh(&region->lock);
	if (frame_page(region, page) == frame)
		right = ivy_slot_right(frame_slot(region, page));
	spin_unlock_bh(&region->lock);
	return right;
}

struct page *frame_lock(struct gvm_region *region, u64 page, enum ivy_right right)
{
	struct page *frame = frame_get(region, page);

	if (!frame)
		return NULL;
	lock_page(frame);
	if (frame_right(region, page, frame) >= right) {
		ClearPageChecked(frame); /* it is used: see evict.c */
		return frame;
	}
	unlock_page(frame);
	put_page(frame);
	return NULL;
}

void frames_destroy(struct gvm_region *region)
{
	struct page *frame;
	unsigned long page;

	xa_for_each(&region->frames, page, frame) {
		spin_lock_bh(&region->lock);
		frame_destroy(region, page);
		spin_unlock_bh(&region->lock);
		cond_resched();
	}
	xa_destroy(&region->frames);
	while (region->nr_spares)
		put_page(region->spares[--region->nr_spares]);
}
