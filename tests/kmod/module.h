/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module.h - what decides about regions, as one file: the module's own sources, and
 * in the place of the rest of it as little as they need. A test includes this once, and defines
 * what is declared here and at the end of kernel.h.
 */
#ifndef TEST_KMOD_MODULE_H
#define TEST_KMOD_MODULE_H

#include "kernel.h"

/* What the kernel is not built with. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "kmod/frame.c"
#include "kmod/homes.c"
#include "kmod/regions.c"
#include "kmod/tell.c"
#include "kmod/opening.c"
#include "kmod/offers.c"
#include "kmod/agree.c"
#pragma GCC diagnostic pop

#include "kmod/membership.h"

/* The core: only whether it is open, and for what. */
struct ivy {
	struct ivy_stats stats;
	bool open, lost;
};

/* A frame that this node sends. */
void test_send(struct gvm_peer *peer, const u8 *body, u16 bytes);
/* A home begins to serve its share. */
void test_opens(struct gvm_region *region, bool lost);

struct membership gvm_membership;
struct workqueue_struct *gvm_workqueue, *gvm_agreements;

struct gvm_cluster *gvm_membership_lock(void)
{
	return gvm_membership.cluster;
}

void gvm_membership_unlock(void)
{
}

int gvm_cluster_home(const struct gvm_cluster *cluster, u16 id)
{
	for (int i = 0; i < cluster->nr_homes; i++)
		if (cluster->homes[i] == id)
			return i;
	return -1;
}

struct gvm_peer *gvm_cluster_peer(const struct gvm_cluster *cluster, u16 id)
{
	return id < cluster->nodes ? cluster->peers[id] : NULL;
}

bool gvm_peer_connected(struct gvm_peer *peer)
{
	return peer->link;
}

void gvm_peer_queue_frame(struct gvm_peer *peer, enum frame_kind kind, const u8 *body, u16 bytes)
{
	(void)kind;
	test_send(peer, body, bytes);
}

void gvm_peer_transmit(struct gvm_peer *peer)
{
	(void)peer;
}

void gvm_peer_transmit_later(struct gvm_peer *peer)
{
	(void)peer;
}

void gvm_region_enter(struct gvm_region *region, struct gvm_batch *batch)
{
	(void)region;
	(void)batch;
}

void gvm_region_leave(struct gvm_region *region, struct gvm_batch *batch)
{
	(void)region;
	(void)batch;
}

const struct ivy_stats *ivy_stats(const struct ivy *core)
{
	return &core->stats;
}

static struct gvm_region *region_of_core(struct ivy *core);

void ivy_open(struct ivy *core, bool lost)
{
	core->open = true;
	core->lost = lost;
	test_opens(region_of_core(core), lost);
}

/* A region and its core, in one allocation. */
struct test_region {
	struct gvm_region region;
	struct ivy core;
};

static struct gvm_region *region_of_core(struct ivy *core)
{
	return &container_of(core, struct test_region, core)->region;
}

static int region_new(struct gvm_cluster *cluster, const struct region_wish *wish,
		      struct gvm_region **out)
{
	struct test_region *new = test_alloc(sizeof(*new));
	struct gvm_region *region;

	if (!new)
		return -ENOMEM;
	region = &new->region;
	kref_init(&region->ref);
	strscpy(region->name, wish->name, sizeof(region->name));
	region->cluster = cluster;
	region->core = &new->core;
	region->pages = wish->pages;
	region->id = wish->id;
	region->homes = wish->homes;
	region->creator.from = IVY_NONE;
	region->on.from = IVY_NONE;
	if (wish->on)
		region->on = *wish->on;
	region->tag = (u32)wish->id;
	region->token = get_random_u64();
	region->share = gvm_homes_place(&region->homes, cluster->id) < 0 ? SHARE_UNKNOWN : SHARE_CLOSED;
	gvm_opening_init(region);
	if (gvm_regions_reserve(region)) {
		gvm_region_put(region);
		return -ENOMEM;
	}
	gvm_regions_add(region);
	*out = region;
	return 0;
}

/* As region_life.c has it, but for what else a region needs. */
int gvm_region_join(struct gvm_cluster *cluster, const struct region_wish *wish,
		    struct gvm_region **out)
{
	struct gvm_region *region;
	int err;

	if (!gvm_region_name_valid(wish->name) || !wish->pages || !wish->id || !gvm_homes_known(&wish->homes, cluster))
		return -EINVAL;
	region = gvm_region_find(wish->name);
	if (region) {
		err = atomic_read(&region->opened) < 0 ? -EALREADY :
		      region->pages != wish->pages || region->id != wish->id ? -EEXIST : 0;
		if (err)
			gvm_region_put(region);
		else
			*out = region;
		return err;
	}
	err = region_new(cluster, wish, &region);
	if (err)
		return err;
	kref_get(&region->ref);
	*out = region;
	return 0;
}

/* A region has ended for which offers kept it here. */
void test_ends(struct gvm_region *region);

void gvm_region_end(struct gvm_region *region)
{
	test_ends(region);
	gvm_regions_remove(region);
	region->leaving = true;
	gvm_opening_end(region);
	gvm_region_put(region);
}

#endif
