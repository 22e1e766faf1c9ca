// SPDX-License-Identifier: GPL-2.0
/*
 * The protocol core's environment (struct ivy_env). Every callback is called under region->lock,
 * and leaves sending and revoking to gvm_region_leave().
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "clock.h"
#include "cluster.h"
#include "compat.h"
#include "frames.h"
#include "log.h"
#include "peer.h"
#include "region.h"
#include "revoke.h"
#include "sleep.h"
#include "sweep.h"
#include "trace.h"

static void env_send(void *context, u16 to, const struct ivy_msg *m, const void *data)
{
	struct gvm_region *region = context;
	struct gvm_peer *peer = gvm_cluster_peer(region->cluster, to);
	struct gvm_batch *batch = region->batch;
	struct folio *frame = NULL;
	unsigned int i;

	if (!peer) {
		/* A tree of relays has places for nodes that there are not. */
		if (m->type != IVY_GETS && to < GIANTVM_NODES_MAX)
			gvm_warn("%s: node %u is not in this node's list, and gets no answer: gvm dsm up with all nodes\n",
				 region->name, to);
		return;
	}
	if (m->flags & IVY_F_PAGE && !data) {
		frame = gvm_frame_page(region, m->page);
		if (WARN_ON_ONCE(!frame))
			return;
	}
	trace_gvm_send(region->tag, to, m);
	gvm_peer_queue(peer, region->tag, m, frame, m->flags & IVY_F_PAGE ? data : NULL);
	for (i = 0; i < batch->nr_peers; i++)
		if (batch->peers[i] == peer)
			return;
	if (batch->nr_peers < BATCH_PEERS)
		batch->peers[batch->nr_peers++] = peer;
	else
		gvm_peer_transmit_later(peer);
}

static void env_install(void *context, u64 page, const void *data)
{
	struct gvm_region *region = context;
	struct folio *frame = gvm_frame_page(region, page);

	if (WARN_ON_ONCE(!frame))
		return;
	if (data)
		memcpy(folio_address(frame), data, PAGE_SIZE);
	else
		clear_page(folio_address(frame));
}

static void env_complete(void *context, u64 page, int err)
{
	if (err)
		gvm_region_error_note(context, page);
	else
		gvm_region_error_clear(context, page);
	gvm_sleepers_wake(context, page, err);
}

/*
 * The core's permanent tables may be large; they are allocated in ivy_create(), before the region
 * has a core and without its lock.
 */
static void *env_alloc(void *context, size_t bytes)
{
	struct gvm_region *region = context;

	if (!region->core)
		return kvzalloc(bytes, GFP_KERNEL | __GFP_NOWARN);
	return kzalloc(bytes, GFP_ATOMIC | __GFP_NOWARN);
}

static void env_free(void *context, void *memory, size_t bytes)
{
	kvfree(memory);
}

static void env_lost(void *context, u64 page)
{
	struct gvm_region *region = context;

	region->stats.lost_pages++;
	gvm_warn("%s: page %llu lost: its only copy was on a node that is gone\n", region->name,
		 page);
}

static struct ivy_slot *env_slot_get(void *context, u64 page)
{
	return gvm_frame_slot(context, page);
}

static struct ivy_slot *env_slot_new(void *context, u64 page)
{
	return gvm_frame_create(context, page);
}

static void env_slot_free(void *context, u64 page)
{
	gvm_frame_destroy(context, page);
}

static bool env_slot_next(void *context, u64 *page)
{
	struct gvm_region *region = context;
	unsigned long at = *page;

	if (!xa_find(&region->frames, &at, ULONG_MAX, XA_PRESENT))
		return false;
	*page = at;
	return true;
}

const struct ivy_env gvm_region_env = {
	.send = env_send,
	.revoke = gvm_revoke_begin,
	.sweep = gvm_sweep_begin,
	.ending = gvm_sweep_ending,
	.install = env_install,
	.complete = env_complete,
	.arm_hold = gvm_clock_arm_hold,
	.now = gvm_clock_now,
	.alloc = env_alloc,
	.free = env_free,
	.lost = env_lost,
	.slot_get = env_slot_get,
	.slot_new = env_slot_new,
	.slot_free = env_slot_free,
	.slot_next = env_slot_next,
};
