// SPDX-License-Identifier: GPL-2.0
/* Frames from peers: see receive.h. */
#include "agree.h"
#include "beats.h"
#include "cluster.h"
#include "handshake.h"
#include "link.h"
#include "log.h"
#include "opening.h"
#include "peer.h"
#include "receive.h"
#include "region.h"
#include "tell.h"
#include "trace.h"

static int message_unpack(const struct gvm_peer *peer, const u8 *body, unsigned int bytes,
			  struct ivy_msg *m, const u8 **data)
{
	int err = ivy_msg_check(body, bytes, IVY_NODES_MAX, U64_MAX);

	if (err)
		return err;
	*data = ivy_msg_unpack(body, m);
	return m->src == peer->id ? 0 : -EBADMSG;
}

static void message_give(struct gvm_region *region, const struct ivy_msg *m, const u8 *data)
{
	lockdep_assert_held(&region->lock);
	if (region->leaving)
		return;
	trace_gvm_receive(region->tag, m->src, m);
	region->gathered |= m->type == IVY_GETS;
	ivy_rx(region->core, m, data);
}

/* Of no region; may be called in a softirq. */
static int receive_beat(struct gvm_peer *peer, const u8 *body, unsigned int bytes)
{
	struct ivy_msg m;
	const u8 *data;
	int err = message_unpack(peer, body, bytes, &m, &data);

	if (!err)
		ivy_pairs_rx(gvm_beats_pairs(peer->cluster->beats), &m);
	return err;
}

static int receive_message(struct gvm_peer *peer, u32 tag, const u8 *body, unsigned int bytes)
{
	struct gvm_region *region = gvm_region_find_tag(tag);
	struct gvm_batch batch;
	struct ivy_msg m;
	const u8 *data;
	int err;

	if (!region)
		return 0;
	err = message_unpack(peer, body, bytes, &m, &data);
	if (!err && (m.page >= region->pages || m.more >= region->pages - m.page)) {
		/*
		 * Its region has the same tag by chance. The connection stays: it would be made
		 * again and again.
		 */
		gvm_warn("node %u sent a message for a page that %s does not have: ignored\n",
			 peer->id, region->name);
	} else if (!err) {
		gvm_region_enter(region, &batch);
		message_give(region, &m, data);
		gvm_region_leave(region, &batch);
	}
	gvm_region_put(region);
	return err;
}

/* Whether a fault of this node waits for the message, and no other node is to get it from here. */
static bool message_answers(const struct ivy_msg *m)
{
	return m->type == IVY_GRANT || (m->type == IVY_DATA && m->count == 1);
}

static bool receive_at_once(struct gvm_peer *peer, u32 tag, const u8 *body, unsigned int bytes)
{
	struct gvm_region *region;
	struct gvm_batch batch;
	struct ivy_msg m;
	bool taken = false;
	const u8 *data;

	if (!tag)
		return !receive_beat(peer, body, bytes);
	/* The list's reference outlives this section, so the one put here is not the last. */
	rcu_read_lock();
	region = gvm_region_find_tag(tag);
	if (!region)
		goto unlock;
	if (!message_unpack(peer, body, bytes, &m, &data) && m.page < region->pages &&
	    m.more < region->pages - m.page && message_answers(&m)) {
		gvm_region_enter_atomic(region, &batch);
		message_give(region, &m, data);
		gvm_region_leave_atomic(region, &batch);
		taken = true;
	}
	gvm_region_put(region);
unlock:
	rcu_read_unlock();
	return taken;
}

/* All that had arrived has been handled: the cores pass gathered requests on. */
static void receive_end(struct link *link)
{
	struct gvm_region *region;
	struct gvm_batch batch;

	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region)) {
		if (!READ_ONCE(region->gathered))
			continue;
		gvm_region_enter(region, &batch);
		region->gathered = false;
		if (!region->leaving)
			ivy_flush(region->core);
		gvm_region_leave(region, &batch);
	}
}

static void receive_joined(struct gvm_peer *peer)
{
	struct gvm_region *region;
	struct gvm_batch batch;

	ivy_pairs_joined(gvm_beats_pairs(peer->cluster->beats), peer->id);
	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region)) {
		gvm_region_enter(region, &batch);
		if (!region->leaving)
			ivy_node_joined(region->core, peer->id);
		gvm_region_leave(region, &batch);
		gvm_opening_doubt(region, peer->id);
		gvm_tell_offer(region, peer);
	}
}

static int link_frame(struct link *link, const struct frame_head *head, const u8 *body)
{
	if (head->kind == FRAME_HELLO)
		return gvm_handshake_hello(link, body);
	if (head->kind == FRAME_PROOF)
		return gvm_handshake_proof(link, body);
	if (link->state != LINK_UP)
		return -EBADMSG;
	if (head->kind == FRAME_REGION)
		return gvm_agree_receive(link->peer, body);
	if (head->kind == FRAME_MESSAGE && !head->tag)
		return receive_beat(link->peer, body, head->body_bytes);
	if (head->kind == FRAME_MESSAGE)
		return receive_message(link->peer, head->tag, body, head->body_bytes);
	return -EBADMSG;
}

static void link_refused(struct link *link, int err)
{
	int id = link->peer ? link->peer->id : -1;

	if (err == -EILSEQ) {
		atomic_long_inc(&link->links->nr_altered);
		gvm_warn("what node %d sent was altered on its way; the connection is closed\n",
			 id);
	} else {
		gvm_warn("protocol error: unexpected bytes from node %d; its connection is closed\n",
			 id);
	}
}

static bool link_frame_at_once(struct link *link, const struct frame_head *head, const u8 *body)
{
	return head->kind == FRAME_MESSAGE &&
	       receive_at_once(link->peer, head->tag, body, head->body_bytes);
}

static int link_is_up(struct link *link)
{
	int err = gvm_peer_link_up(link->peer, link);

	if (err)
		return err;
	receive_joined(link->peer);
	return gvm_peer_link_begin(link->peer, link);
}

static void link_is_down(struct link *link)
{
	gvm_peer_link_down(link->peer, link);
}

static void link_has_room(struct link *link)
{
	gvm_peer_transmit_later(link->peer);
}

const struct link_ops gvm_receive_ops = {
	.connected = gvm_handshake_begin,
	.frame = link_frame,
	.frame_at_once = link_frame_at_once,
	.received = receive_end,
	.up = link_is_up,
	.refused = link_refused,
	.down = link_is_down,
	.room = link_has_room,
};
