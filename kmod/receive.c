// SPDX-License-Identifier: GPL-2.0
/* What a peer sent, to its region's core: see receive.h. */
#include "agree.h"
#include "cluster.h"
#include "log.h"
#include "peer.h"
#include "receive.h"
#include "region.h"
#include "trace.h"

int receive_message(struct gvm_peer *peer, u32 tag, const u8 *body, unsigned int bytes)
{
	struct gvm_region *region = region_find_tag(tag);
	struct gvm_batch batch;
	struct ivy_msg m;
	const u8 *data;
	int err;

	if (!region)
		return 0;
	err = ivy_msg_check(body, bytes, peer->cluster->nodes, region->pages);
	if (err)
		goto put_region;
	data = ivy_msg_unpack(body, &m);
	if (m.src != peer->id) {
		err = -EBADMSG;
		goto put_region;
	}
	region_enter(region, &batch);
	if (!region->leaving) {
		trace_gvm_receive(tag, peer->id, &m);
		region->gathered = true;
		ivy_rx(region->core, &m, data);
	}
	region_leave(region, &batch);
put_region:
	region_put(region);
	return err;
}

void receive_end(struct gvm_cluster *cluster)
{
	struct gvm_region *region;
	struct gvm_batch batch;

	for (region = region_next(NULL); region; region = region_next(region)) {
		if (!READ_ONCE(region->gathered))
			continue;
		region_enter(region, &batch);
		region->gathered = false;
		if (!region->leaving)
			ivy_flush(region->core);
		region_leave(region, &batch);
	}
}

void receive_joined(struct gvm_peer *peer)
{
	struct gvm_region *region;
	struct gvm_batch batch;

	for (region = region_next(NULL); region; region = region_next(region)) {
		region_enter(region, &batch);
		if (!region->leaving)
			ivy_node_joined(region->core, peer->id);
		region_leave(region, &batch);
		agree_offer(region, peer);
	}
}
