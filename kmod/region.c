// SPDX-License-Identifier: GPL-2.0
/*
 * Regions: how they come and go, and the lock of their core. See region.h.
 *
 * A region is referenced by the list of all, by its inode, by each open file, and by whoever works
 * with it. Leaving takes it off the list, so that no message finds it any more; the rest goes with
 * the last reference. The module is not unloaded before, since the inode's filesystem and each file
 * keep it.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/xxhash.h>

#include "chardev.h"
#include "clock.h"
#include "cluster.h"
#include "compat.h"
#include "evict.h"
#include "frames.h"
#include "inode.h"
#include "log.h"
#include "peer.h"
#include "region.h"
#include "revoke.h"
#include "stats.h"

static LIST_HEAD(regions);
static DEFINE_SPINLOCK(regions_lock); /* of the list; taken for a few instructions */
static DEFINE_XARRAY(tags); /* the same by tag, for each message; read under RCU */
static unsigned int nr_regions; /* under the device's mutex */

/* No offer is taken beyond that: whatever others offer, this node has room for its own joins. */
#define OFFERED_MAX (GIANTVM_REGIONS_MAX / 4 * 3)

static void region_free(struct kref *ref)
{
	struct gvm_region *region = container_of(ref, struct gvm_region, ref);

	opening_free(region);
	kfree(region);
}

void region_put(struct gvm_region *region)
{
	kref_put(&region->ref, region_free);
}

struct gvm_region *region_find(const char *name)
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

struct gvm_region *region_find_tag(u32 tag)
{
	struct gvm_region *region;

	/* The list's reference outlives this section: region_end() waits for that. */
	rcu_read_lock();
	region = xa_load(&tags, tag);
	if (region)
		kref_get(&region->ref);
	rcu_read_unlock();
	return region;
}

struct gvm_region *region_next(struct gvm_region *before)
{
	struct gvm_region *region = NULL;
	struct list_head *next;

	spin_lock_bh(&regions_lock);
	/* One that was left meanwhile leads nowhere: the round ends there. */
	next = before ? before->list.next : regions.next;
	if (next != &regions && (!before || next != &before->list)) {
		region = list_entry(next, struct gvm_region, list);
		kref_get(&region->ref);
	}
	spin_unlock_bh(&regions_lock);
	if (before)
		region_put(before);
	return region;
}

void regions_visit(void (*visit)(struct gvm_region *region, void *argument), void *argument)
{
	struct gvm_region *region;

	spin_lock_bh(&regions_lock);
	list_for_each_entry(region, &regions, list)
		visit(region, argument);
	spin_unlock_bh(&regions_lock);
}

u64 region_now_ms(void)
{
	return div_u64(ktime_get_boottime_ns(), NSEC_PER_MSEC);
}

/* Without memory for a note the page is asked for once more. */
static void note_store(struct xarray *notes, u64 page, u64 value)
{
	xa_store(notes, page, xa_mk_value(value), GFP_ATOMIC | __GFP_NOWARN);
}

/* 0: there is none. */
static u64 note_load(struct xarray *notes, u64 page)
{
	void *entry = xa_empty(notes) ? NULL : xa_load(notes, page);

	return entry ? xa_to_value(entry) : 0;
}

void region_error_note(struct gvm_region *region, u64 page)
{
	note_store(&region->errors, page, region_now_ms());
}

#define PID_BITS 22 /* what PID_MAX_LIMIT needs; above them the time */

void region_given_up_note(struct gvm_region *region, u64 page)
{
	BUILD_BUG_ON(PID_MAX_LIMIT > 1 << PID_BITS);
	note_store(&region->given_up, page, region_now_ms() << PID_BITS | current->pid);
}

static void note_clear(struct xarray *notes, u64 page)
{
	if (!xa_empty(notes))
		xa_erase(notes, page);
}

void region_error_clear(struct gvm_region *region, u64 page)
{
	note_clear(&region->errors, page);
	note_clear(&region->given_up, page);
}

int region_error(struct gvm_region *region, u64 page, u64 since_ms)
{
	u64 lost_ms = note_load(&region->errors, page);
	u64 given_up = note_load(&region->given_up, page);

	if (lost_ms && lost_ms >= since_ms)
		return -EIO;
	if (given_up >> PID_BITS >= since_ms && given_up % (1 << PID_BITS) == current->pid)
		return -EDEADLK;
	return 0;
}

void region_provide(struct gvm_region *region)
{
	bool kept = true;
	struct page *spare;

	while (kept && READ_ONCE(region->nr_spares) < REGION_SPARES) {
		spare = alloc_page(GFP_DISPENSABLE);
		if (!spare)
			return;
		spin_lock_bh(&region->lock);
		/* What is left gets none: they would stay. */
		kept = region->nr_spares < REGION_SPARES && !region->leaving;
		if (kept)
			region->spares[region->nr_spares++] = spare;
		spin_unlock_bh(&region->lock);
		if (!kept)
			put_page(spare);
	}
}

void region_enter_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__acquires(&region->lock)
{
	batch->nr_peers = 0;
	batch->nr_revocations = 0;
	spin_lock_bh(&region->lock);
	region->batch = batch;
}

void region_leave_atomic(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock)
{
	unsigned int i;

	region->batch = NULL;
	for (i = 0; i < batch->nr_peers; i++)
		peer_transmit_later(batch->peers[i]);
	/* They are marked. Leaving cancels the work once it has said so: see revoke_page(). */
	if (batch->nr_revocations && !region->leaving)
		revoke_later(region);
	spin_unlock_bh(&region->lock);
}

void region_enter(struct gvm_region *region, struct gvm_batch *batch)
	__acquires(&region->lock)
{
	if (!READ_ONCE(region->nr_spares))
		region_provide(region);
	region_enter_atomic(region, batch);
}

void region_leave(struct gvm_region *region, struct gvm_batch *batch)
	__releases(&region->lock)
{
	/* Pages are unmapped by the inode, which goes as soon as the region is left. */
	bool revokes = batch->nr_revocations && !region->leaving;
	unsigned int i;

	region->batch = NULL;
	if (revokes)
		ihold(region->inode);
	spin_unlock_bh(&region->lock);
	for (i = 0; i < batch->nr_peers; i++)
		peer_transmit(batch->peers[i]);
	if (!revokes)
		return;
	/*
	 * Each enters the core again, with a batch of its own: not deeper than a page has rights.
	 */
	for (i = 0; i < batch->nr_revocations; i++)
		revoke_page(region, batch->revocations[i]);
	iput(region->inode);
}

bool region_name_valid(const char *name)
{
	const char *c;

	if (!name[0] || name[0] == '.' || strnlen(name, GIANTVM_NAME_BYTES) == GIANTVM_NAME_BYTES)
		return false;
	for (c = name; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("._-", *c)))
			return false;
	return true;
}

u64 region_share_pages(const struct gvm_region *region)
{
	const struct gvm_cluster *cluster = region->cluster;
	int home = cluster_home(cluster, cluster->id);

	return home < 0 ? 0 : (region->pages + cluster->nr_homes - 1 - home) / cluster->nr_homes;
}

static int region_core_create(struct gvm_region *region)
{
	struct gvm_cluster *cluster = region->cluster;
	struct ivy_params params = {
		.id = cluster->id,
		.nodes = cluster->nodes,
		.nhomes = cluster->nr_homes,
		.homes = cluster->homes,
		.pages = region->pages,
		.closed = true,
	};

	clock_params(&params);
	return ivy_create(&params, &region_env, region, &region->core);
}

/* Who has another region of that name, or another size of it: no message of that is one of this. */
static u32 region_tag(const struct region_wish *wish)
{
	u64 which[] = { wish->id, wish->pages };

	return xxh32(wish->name, strlen(wish->name), xxh32(which, sizeof(which), 0));
}

#define LEAF_PAGES 32 /* for which a home's directory has a pointer from the beginning */

static u64 directory_bytes(const struct gvm_cluster *cluster, u64 pages)
{
	if (cluster_home(cluster, cluster->id) < 0)
		return 0;
	return div_u64(pages, cluster->nr_homes) / LEAF_PAGES * sizeof(void *);
}

static void directory_add(struct gvm_region *region, void *bytes)
{
	*(u64 *)bytes += directory_bytes(region->cluster, region->pages);
}

/* Regions may not take more than a part of this host's memory before a page is used. */
static bool region_fits(const struct gvm_cluster *cluster, u64 pages)
{
	u64 bytes = directory_bytes(cluster, pages);

	regions_visit(directory_add, &bytes);
	return bytes <= (u64)totalram_pages() << PAGE_SHIFT >> 2;
}

static int region_create(struct gvm_cluster *cluster, const struct region_wish *wish,
			 struct gvm_region **out)
{
	struct gvm_region *region;
	int err;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return -ENOMEM;
	kref_init(&region->ref); /* the list's */
	strscpy(region->name, wish->name, sizeof(region->name));
	region->cluster = cluster;
	region->pages = wish->pages;
	region->id = wish->id;
	region->creator.from = IVY_NONE;
	region->on.from = IVY_NONE;
	if (wish->on)
		region->on = *wish->on;
	region->tag = region_tag(wish);
	region->token = get_random_u64();
	region->share = cluster_home(cluster, cluster->id) < 0 ? SHARE_UNKNOWN : SHARE_CLOSED;
	spin_lock_init(&region->lock);
	xa_init(&region->frames);
	xa_init(&region->errors);
	xa_init(&region->given_up);
	xa_init(&region->lease_ends);
	sleepers_init(region);
	INIT_DELAYED_WORK(&region->revoke_work, revoke_work_run);
	INIT_WORK(&region->sweep_work, sweep_work_run);
	INIT_WORK(&region->evict_work, evict_work_run);
	opening_init(region);
	clock_init(region);
	err = xa_load(&tags, region->tag) ? -EADDRINUSE :
					    xa_reserve(&tags, region->tag, GFP_KERNEL);
	if (err)
		goto free_region;
	err = region_inode_create(region);
	if (err)
		goto release_tag;
	err = region_core_create(region);
	if (err)
		goto destroy_inode;
	err = chardev_create(region);
	if (err)
		goto destroy_core;
	/* From here on others find it. */
	xa_store(&tags, region->tag, region, GFP_KERNEL); /* it has its place there */
	spin_lock_bh(&regions_lock);
	list_add_tail(&region->list, &regions);
	spin_unlock_bh(&regions_lock);
	stats_region_create(region);
	clock_start(region);
	*out = region;
	return 0;

destroy_core:
	ivy_destroy(region->core);
destroy_inode:
	region_inode_destroy(region);
release_tag:
	xa_release(&tags, region->tag);
free_region:
	region_put(region);
	return err;
}

void region_keep(struct gvm_region *region)
{
	spin_lock_bh(&region->lock);
	region->on.from = IVY_NONE;
	spin_unlock_bh(&region->lock);
}

int region_join(struct gvm_cluster *cluster, const struct region_wish *wish,
		struct gvm_region **out)
{
	struct gvm_region *region;
	int err;

	if (!region_name_valid(wish->name) || !wish->pages || !wish->id)
		return -EINVAL;
	if (wish->pages > MAX_LFS_FILESIZE >> PAGE_SHIFT)
		return -E2BIG;
	region = region_find(wish->name);
	if (region) {
		err = atomic_read(&region->opened) < 0 ? -EALREADY :
		      region->pages != wish->pages || region->id != wish->id ? -EEXIST : 0;
		if (err) {
			region_put(region);
			return err;
		}
		*out = region;
		return 0;
	}
	if (nr_regions >= (wish->on ? OFFERED_MAX : GIANTVM_REGIONS_MAX))
		return -ENOSPC;
	if (!region_fits(cluster, wish->pages)) {
		gvm_warn("%s is not joined: its directory does not fit into a quarter of the memory\n",
			 wish->name);
		return -E2BIG;
	}
	err = region_create(cluster, wish, &region);
	if (err)
		return err;
	nr_regions++;
	kref_get(&region->ref);
	*out = region;
	return 0;
}

/* Nobody has asked this node for a page, nor has it one. */
static bool region_untouched(struct gvm_region *region)
{
	lockdep_assert_held(&region->lock);
	return !ivy_stats(region->core)->received && !atomic_long_read(&region->resident);
}

bool region_offers(struct gvm_region *region)
{
	bool offers;

	spin_lock_bh(&region->lock);
	offers = !region->leaving && atomic_read(&region->opened) >= 0 &&
		 (region->on.from == IVY_NONE || !region_untouched(region));
	spin_unlock_bh(&region->lock);
	return offers;
}

/* A later offer of the same node. */
static bool offer_follows(const struct region_offer *offer, const struct region_offer *before)
{
	return offer->from == before->from && (s32)(offer->number - before->number) > 0;
}

bool region_offered(struct gvm_region *region, const struct region_offer *offer, bool creates)
{
	bool here;

	spin_lock_bh(&region->lock);
	here = !region->leaving && atomic_read(&region->opened) >= 0;
	if (here && region->on.from != offer->from)
		region->on.from = IVY_NONE;
	else if (here && offer_follows(offer, &region->on))
		region->on.number = offer->number; /* that node has begun anew with it */
	if (here && creates)
		region->creator = *offer;
	spin_unlock_bh(&region->lock);
	return here;
}

bool region_superseded(struct gvm_region *region, const struct region_offer *offer)
{
	bool superseded;

	spin_lock_bh(&region->lock);
	superseded = region->leaving || atomic_read(&region->opened) < 0 ||
		     (offer_follows(offer, &region->creator) && !opening_completed(region) &&
		      region_untouched(region));
	spin_unlock_bh(&region->lock);
	return superseded;
}

bool region_forgo(struct gvm_region *region, const struct region_offer *offer, bool creator)
{
	bool forgo;

	if (region_close(region))
		return false;
	spin_lock_bh(&region->lock);
	forgo = region_untouched(region) &&
		((creator && !opening_completed(region) && !region->joined) ||
		 (region->on.from == offer->from && region->on.number == offer->number));
	/* Who waits here to join it lets it go when that fails. */
	region->made |= forgo && region->joining;
	forgo &= !region->joining;
	/* Nothing comes in between: who offers it from now on makes it anew. */
	region->leaving |= forgo;
	spin_unlock_bh(&region->lock);
	if (!forgo)
		region_reopen(region);
	return forgo;
}

void region_end(struct gvm_region *region)
{
	struct gvm_batch batch;

	chardev_destroy(region);
	nr_regions--;
	stats_region_destroy(region);
	spin_lock_bh(&regions_lock);
	list_del_init(&region->list);
	spin_unlock_bh(&regions_lock);
	xa_erase(&tags, region->tag);
	synchronize_rcu(); /* region_find_tag() has a reference of its own, or does not find it */

	region_enter(region, &batch);
	ivy_leave(region->core);
	region->leaving = true;
	region_leave(region, &batch);
	clock_stop(region);
	opening_end(region);
	cancel_work_sync(&region->evict_work);
	cancel_work_sync(&region->sweep_work);
	cancel_delayed_work_sync(&region->revoke_work);
	ivy_destroy(region->core);
	frames_destroy(region);
	xa_destroy(&region->errors);
	xa_destroy(&region->given_up);
	xa_destroy(&region->lease_ends);
	region_inode_destroy(region);
	region_put(region); /* the list's */
}

int region_close(struct gvm_region *region)
{
	int opened = atomic_cmpxchg(&region->opened, 0, REGION_CLOSED);

	return opened < 0 ? -EALREADY : opened ? -EBUSY : 0;
}

void region_reopen(struct gvm_region *region)
{
	atomic_sub(REGION_CLOSED, &region->opened);
}

int region_empty(struct gvm_region *region, bool forced)
{
	int err = evict_all(region, !forced);

	if (err)
		gvm_warn("%s: %lu pages that their homes have not taken%s\n", region->name,
			 evict_left(region),
			 err == -EIO ? ", but some were lost with a lease that ended" : "");
	return forced ? 0 : err;
}

bool region_opened_get(struct gvm_region *region)
{
	if (atomic_inc_return(&region->opened) > 0)
		return true;
	atomic_dec(&region->opened);
	return false;
}

int region_descriptor(struct gvm_region *region, unsigned int open_flags)
{
	struct file *file;
	int fd;

	if (!region_opened_get(region))
		return -ENOENT;
	fd = get_unused_fd_flags(open_flags);
	if (fd < 0) {
		atomic_dec(&region->opened);
		return fd;
	}
	kref_get(&region->ref);
	file = region_inode_open(region, 0);
	if (IS_ERR(file)) {
		atomic_dec(&region->opened);
		region_put(region);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
