// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a region, from the join to the end: see region.h.
 *
 * After gvm_region_end() the struct stays until its last reference is put. The module is not
 * unloaded before, since the inode's filesystem and each open file hold references to it.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/xxhash.h>

#include "beats.h"
#include "chardev.h"
#include "clock.h"
#include "cluster.h"
#include "compat.h"
#include "evict.h"
#include "frames.h"
#include "inode.h"
#include "log.h"
#include "opening.h"
#include "params.h"
#include "peer.h"
#include "region.h"
#include "revoke.h"
#include "sleep.h"
#include "stats.h"
#include "sweep.h"

static unsigned int nr_regions; /* under the device's mutex */

/* Offers of other nodes are taken up to this number: the rest is kept for this node's own joins. */
#define OFFERED_MAX (GIANTVM_REGIONS_MAX / 4 * 3)

static int region_core_create(struct gvm_region *region)
{
	struct gvm_cluster *cluster = region->cluster;
	struct ivy_params params = {
		.id = cluster->id,
		.nodes = GIANTVM_NODES_MAX, /* the list may grow */
		.relays = region->homes.relays,
		.nhomes = region->homes.nr,
		.homes = region->homes.ids,
		.pages = region->pages,
		.pairs = gvm_beats_pairs(cluster->beats),
		.key = region->id,
		.closed = true,
		.ahead = gvm_params_ahead_pages(),
	};

	gvm_clock_params(&params);
	return ivy_create(&params, &gvm_region_env, region, &region->core);
}

/* Differs between regions of one name, so that no message of one reaches the other's core. */
static u32 region_tag(const struct region_wish *wish)
{
	u64 which[] = { wish->id, wish->pages };
	u32 tag = xxh32(wish->name, strlen(wish->name), xxh32(which, sizeof(which), 0));

	return tag ?: 1; /* 0 is of messages that are of no region */
}

/* What a home has for its share, as IVY.md says: sizes. */
#define LEAF_BYTES sizeof(void *) /* for each leaf of the directory, from the start */
#define PAGE_BYTES (PAGE_SIZE + 64 + 9) /* used: the page, its directory entry, its place */

struct lent {
	u64 directory, whole; /* bytes: from the start; when each page has been used */
};

static void lent_add(struct lent *lent, const struct gvm_cluster *cluster,
		     const struct home_list *homes, u64 pages)
{
	u64 share = gvm_homes_share(homes, cluster->id, pages);

	lent->directory += share / IVY_RUN * LEAF_BYTES;
	lent->whole += share / IVY_RUN * LEAF_BYTES + share * PAGE_BYTES;
}

static void region_lent_add(struct gvm_region *region, void *lent)
{
	lent_add(lent, region->cluster, &region->homes, region->pages);
}

/*
 * Whether this node's share of one more region has room: 0, -ENOSPC or -E2BIG, which is logged.
 * What unused directories take is taken at once, however much is lent.
 */
static int region_fits(const struct gvm_cluster *cluster, const struct region_wish *wish)
{
	u64 lends = gvm_params_lend_bytes();
	struct lent lent = {};

	lent_add(&lent, cluster, &wish->homes, wish->pages);
	if (!lent.whole)
		return 0;
	gvm_regions_visit(region_lent_add, &lent);
	if (lent.directory > (u64)totalram_pages() << PAGE_SHIFT >> 2) {
		gvm_warn("%s is not joined: its directory does not fit into a quarter of the memory\n",
			 wish->name);
		return -E2BIG;
	}
	if (lent.whole > lends) {
		gvm_warn("%s is not joined: with it, %llu MiB would be lent, of %llu (lend_mb)\n",
			 wish->name, lent.whole >> 20, lends >> 20);
		return -ENOSPC;
	}
	return 0;
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
	region->homes = wish->homes;
	region->creator.from = IVY_NONE;
	region->on.from = IVY_NONE;
	if (wish->on)
		region->on = *wish->on;
	region->tag = region_tag(wish);
	region->token = get_random_u64();
	region->share = gvm_homes_place(&region->homes, cluster->id) < 0 ? SHARE_UNKNOWN :
									   SHARE_CLOSED;
	spin_lock_init(&region->lock);
	xa_init(&region->slots);
	xa_init(&region->frames);
	xa_init(&region->errors);
	xa_init(&region->given_up);
	xa_init(&region->lease_ends);
	gvm_sleepers_init(region);
	INIT_DELAYED_WORK(&region->revoke_work, gvm_revoke_work_run);
	INIT_WORK(&region->sweep_work, gvm_sweep_work_run);
	INIT_WORK(&region->evict_work, gvm_evict_work_run);
	gvm_opening_init(region);
	gvm_clock_init(region);
	err = gvm_regions_reserve(region);
	if (err)
		goto free_region;
	err = gvm_region_inode_create(region, &gvm_region_files);
	if (err)
		goto release_tag;
	err = region_core_create(region);
	if (err)
		goto destroy_inode;
	err = gvm_chardev_create(region);
	if (err)
		goto destroy_core;
	/* From here on messages and calls find it. */
	gvm_regions_add(region);
	gvm_stats_region_create(region);
	*out = region;
	return 0;

destroy_core:
	ivy_destroy(region->core);
destroy_inode:
	gvm_region_inode_destroy(region);
release_tag:
	gvm_regions_release(region);
free_region:
	gvm_region_put(region);
	return err;
}

int gvm_region_join(struct gvm_cluster *cluster, const struct region_wish *wish,
		    struct gvm_region **out)
{
	struct gvm_region *region;
	int err;

	if (!gvm_region_name_valid(wish->name) || !wish->pages || !wish->id ||
	    !wish->homes.relays)
		return -EINVAL;
	if (!gvm_homes_known(&wish->homes, cluster))
		return -EADDRNOTAVAIL;
	if (wish->pages > MAX_LFS_FILESIZE >> PAGE_SHIFT)
		return -E2BIG;
	region = gvm_region_find(wish->name);
	if (region) {
		err = atomic_read(&region->opened) < 0 ? -EALREADY :
		      region->pages != wish->pages || region->id != wish->id ? -EEXIST : 0;
		if (err) {
			gvm_region_put(region);
			return err;
		}
		*out = region;
		return 0;
	}
	if (nr_regions >= (wish->on ? OFFERED_MAX : GIANTVM_REGIONS_MAX))
		return -ENOSPC;
	err = region_fits(cluster, wish);
	if (err)
		return err;
	err = region_create(cluster, wish, &region);
	if (err)
		return err;
	nr_regions++;
	kref_get(&region->ref);
	*out = region;
	return 0;
}

void gvm_region_end(struct gvm_region *region)
{
	struct gvm_batch batch;

	gvm_chardev_destroy(region);
	nr_regions--;
	gvm_stats_region_destroy(region);
	gvm_regions_remove(region);

	gvm_region_enter(region, &batch);
	ivy_leave(region->core);
	region->leaving = true;
	gvm_region_leave(region, &batch);
	gvm_clock_stop(region);
	gvm_opening_end(region);
	cancel_work_sync(&region->evict_work);
	cancel_work_sync(&region->sweep_work);
	cancel_delayed_work_sync(&region->revoke_work);
	ivy_destroy(region->core);
	gvm_frames_destroy(region);
	xa_destroy(&region->errors);
	xa_destroy(&region->given_up);
	xa_destroy(&region->lease_ends);
	gvm_region_inode_destroy(region);
	gvm_region_put(region); /* the list's */
}

int gvm_region_empty(struct gvm_region *region, bool forced)
{
	int err = gvm_evict_all(region, forced);

	if (err)
		gvm_warn("%s: %lu pages have not been taken by their homes%s\n", region->name,
			 gvm_evict_left(region),
			 err == -EIO ? ", but some were lost with a lease that ended" : "");
	return forced ? 0 : err;
}

int gvm_region_descriptor(struct gvm_region *region, unsigned int open_flags)
{
	struct file *file;
	int fd;

	if (!gvm_region_opened_get(region))
		return -ENOENT;
	fd = get_unused_fd_flags(open_flags);
	if (fd < 0) {
		atomic_dec(&region->opened);
		return fd;
	}
	kref_get(&region->ref);
	file = gvm_region_inode_open(region, 0);
	if (IS_ERR(file)) {
		atomic_dec(&region->opened);
		gvm_region_put(region);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
