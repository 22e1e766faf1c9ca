// SPDX-License-Identifier: GPL-2.0
/* REGION frames that this node sends: see tell.h. */
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

struct region_frame gvm_tell_frame(const struct gvm_region *region, enum region_word word)
{
	struct region_frame frame = {
		.word = word,
		.flags = frame_flags(region),
		.pages = region->pages,
		.id = region->id,
		.homes = region->homes,
	};

	strscpy(frame.name, region->name, sizeof(frame.name));
	return frame;
}

static void frame_queue(struct gvm_peer *peer, const struct region_frame *frame)
{
	u8 body[REGION_FRAME_BYTES];

	gvm_region_frame_encode(frame, body);
	gvm_peer_queue_frame(peer, FRAME_REGION, body, sizeof(body));
}

void gvm_tell_send(struct gvm_peer *peer, const struct region_frame *frame)
{
	frame_queue(peer, frame);
	gvm_peer_transmit(peer);
}

void gvm_tell_open(struct gvm_region *region, u16 home, enum region_share how, u64 token)
{
	struct gvm_peer *peer = gvm_cluster_peer(region->cluster, home);
	struct region_frame frame = gvm_tell_frame(region, REGION_OPEN);

	if (!peer)
		return; /* it is forgotten: the region has been left meanwhile */
	frame.share = how;
	frame.number = READ_ONCE(region->number);
	frame.token = token;
	frame_queue(peer, &frame);
	gvm_peer_transmit_later(peer);
}

void gvm_tell_offer(struct gvm_region *region, struct gvm_peer *peer)
{
	struct region_frame frame = gvm_tell_frame(region, REGION_OFFER);

	if (gvm_homes_place(&region->homes, peer->id) < 0 || !gvm_region_offers(region))
		return;
	frame.number = READ_ONCE(region->number);
	gvm_tell_send(peer, &frame);
}

void gvm_tell_withdraw(struct gvm_region *region, u32 number)
{
	const struct gvm_cluster *cluster = region->cluster;
	struct region_frame frame = gvm_tell_frame(region, REGION_WITHDRAW);
	unsigned int i;

	if (!number)
		return; /* no offer was made */
	frame.number = number;
	for (i = 0; i < region->homes.nr; i++)
		if (region->homes.ids[i] != cluster->id)
			gvm_tell_send(gvm_cluster_peer(cluster, region->homes.ids[i]), &frame);
}
