// SPDX-License-Identifier: GPL-2.0
/*
 * The list of regions, and look-ups in it: see region.h.
 *
 * A region is referenced by this list, by its inode, by each open file, and by its users in the
 * module. Leaving removes it from the list, so that no message finds it any more; the last put
 * frees it.
 */
#include <linux/ctype.h>
#include <linux/slab.h>

#include "cluster.h"
#include "region.h"

static LIST_HEAD(regions);
static DEFINE_SPINLOCK(regions_lock); /* of the list; taken for a few instructions */
static DEFINE_XARRAY(tags); /* the same by tag, for each message; read under RCU */

static void region_free(struct kref *ref)
{
	struct gvm_region *region = container_of(ref, struct gvm_region, ref);

	kvfree(region->opening.homes);
	kfree(region);
}

void gvm_region_put(struct gvm_region *region)
{
	kref_put(&region->ref, region_free);
}

struct gvm_region *gvm_region_find(const char *name)
{
	struct gvm_region *region, *found = NULL;

	spin_lock_bh(&regions_lock);
	list_for_each_entry(region, &regions, list) {
		if (!strcmp(region->name, name)) {
			kref_get(&region->ref);
			found = region;
			break;
		}
	}
	spin_unlock_bh(&regions_lock);
	return found;
}

struct gvm_region *gvm_region_find_tag(u32 tag)
{
	struct gvm_region *region;

	/* The list's reference outlives this section: gvm_region_end() waits for that. */
	rcu_read_lock();
	region = xa_load(&tags, tag);
	if (region)
		kref_get(&region->ref);
	rcu_read_unlock();
	return region;
}

struct gvm_region *gvm_region_next(struct gvm_region *before)
{
	struct gvm_region *region = NULL;
	struct list_head *next;

	spin_lock_bh(&regions_lock);
	/* `before` may have been removed meanwhile: the iteration ends there. */
	next = before ? before->list.next : regions.next;
	if (next != &regions && (!before || next != &before->list)) {
		region = list_entry(next, struct gvm_region, list);
		kref_get(&region->ref);
	}
	spin_unlock_bh(&regions_lock);
	if (before)
		gvm_region_put(before);
	return region;
}

void gvm_regions_visit(void (*visit)(struct gvm_region *region, void *argument), void *argument)
{
	struct gvm_region *region;

	spin_lock_bh(&regions_lock);
	list_for_each_entry(region, &regions, list)
		visit(region, argument);
	spin_unlock_bh(&regions_lock);
}

int gvm_regions_reserve(struct gvm_region *region)
{
	return xa_load(&tags, region->tag) ? -EADDRINUSE :
					     xa_reserve(&tags, region->tag, GFP_KERNEL);
}

void gvm_regions_release(struct gvm_region *region)
{
	xa_release(&tags, region->tag);
}

void gvm_regions_add(struct gvm_region *region)
{
	xa_store(&tags, region->tag, region, GFP_KERNEL); /* reserved: cannot fail */
	spin_lock_bh(&regions_lock);
	list_add_tail(&region->list, &regions);
	spin_unlock_bh(&regions_lock);
}

void gvm_regions_remove(struct gvm_region *region)
{
	spin_lock_bh(&regions_lock);
	list_del_init(&region->list);
	spin_unlock_bh(&regions_lock);
	xa_erase(&tags, region->tag);
	synchronize_rcu(); /* gvm_region_find_tag() has a reference, or does not find it */
}

bool gvm_region_opened_get(struct gvm_region *region)
{
	if (atomic_inc_return(&region->opened) > 0)
		return true;
	atomic_dec(&region->opened);
	return false;
}

int gvm_region_shut(struct gvm_region *region)
{
	int opened = atomic_cmpxchg(&region->opened, 0, REGION_CLOSED);

	return opened < 0 ? -EALREADY : opened ? -EBUSY : 0;
}

void gvm_region_reopen(struct gvm_region *region)
{
	atomic_sub(REGION_CLOSED, &region->opened);
}

bool gvm_region_name_valid(const char *name)
{
	const char *c;

	if (!name[0] || name[0] == '.' || strnlen(name, GIANTVM_NAME_BYTES) == GIANTVM_NAME_BYTES)
		return false;
	for (c = name; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("._-", *c)))
			return false;
	return true;
}

bool gvm_region_untouched(struct gvm_region *region)
{
	lockdep_assert_held(&region->lock);
	return !ivy_stats(region->core)->received && !atomic_long_read(&region->resident);
}

bool gvm_region_offers(struct gvm_region *region)
{
	bool offers;

	spin_lock_bh(&region->lock);
	offers = !region->leaving && atomic_read(&region->opened) >= 0 &&
		 (region->on.from == IVY_NONE || !gvm_region_untouched(region));
	spin_unlock_bh(&region->lock);
	return offers;
}
