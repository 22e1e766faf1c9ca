// SPDX-License-Identifier: GPL-2.0
/* What this node tells others about a region: see tell.h. */
#include "cluster.h"
#include "peer.h"
#include "region.h"
#include "tell.h"

static u8 frame_flags(const struct gvm_region *region)
{
	const struct opening *opening = &region->opening;

	return (READ_ONCE(opening->complete) ? REGION_COMPLETE : 0) |
	       (READ_ONCE(opening->creates) ? REGION_CREATOR : 0);
}

/* What a frame says of a region, whatever it is for. */
struct region_frame tell_frame(const struct gvm_region *region, enum region_word word)
{
	struct region_frame frame = {
		.word = word,
		.flags = frame_flags(region),
		.pages = region->pages,
		.id = region->id,
	};

	strscpy(frame.name, region->name, sizeof(frame.name));
	return frame;
}

static void frame_queue(struct gvm_peer *peer, const struct region_frame *frame)
{
	u8 body[REGION_FRAME_BYTES];

	region_frame_encode(frame, body);
	peer_queue_frame(peer, FRAME_REGION, body, sizeof(body));
}

void tell_send(struct gvm_peer *peer, const struct region_frame *frame)
{
	frame_queue(peer, frame);
	peer_transmit(peer);
}

void tell_open(struct gvm_region *region, u16 home, enum region_share how, u64 token)
{
	struct gvm_peer *peer = cluster_peer(region->cluster, home);
	struct region_frame frame = tell_frame(region, REGION_OPEN);

	frame.share = how;
	frame.number = READ_ONCE(region->number);
	frame.token = token;
	frame_queue(peer, &frame);
	peer_transmit_later(peer);
}

void tell_offer(struct gvm_region *region, struct gvm_peer *peer)
{
	struct region_frame frame = tell_frame(region, REGION_OFFER);

	if (cluster_home(peer->cluster, peer->id) < 0 || !region_offers(region))
		return;
	frame.number = READ_ONCE(region->number);
	tell_send(peer, &frame);
}

void tell_withdraw(struct gvm_region *region, u32 number)
{
	const struct gvm_cluster *cluster = region->cluster;
	struct region_frame frame = tell_frame(region, REGION_WITHDRAW);
	unsigned int i;

	if (!number)
		return; /* it has not come to an offer */
	frame.number = number;
	for (i = 0; i < cluster->nr_homes; i++)
		if (cluster->homes[i] != cluster->id)
			tell_send(cluster_peer(cluster, cluster->homes[i]), &frame);
}
