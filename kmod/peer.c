// SPDX-License-Identifier: GPL-2.0
/* Another node: see peer.h. */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "buffers.h"
#include "compat.h"
#include "link.h"
#include "log.h"
#include "memory.h"
#include "peer.h"
#include "workers.h"
#include "uapi/giantvm.h"

/*
 * Bound of a peer's queue. The core retries dropped messages; an owner that sends ten thousand
 * pages to a peer that takes none must not fill this host's memory.
 */
#define QUEUED_MAX 4096
#define QUEUED_URGENT_MAX (2 * QUEUED_MAX) /* for messages about leases */
#define RETRY_MS 5 /* after there was no memory to send with */
#define BACKOFF_MS_MIN 20
#define BACKOFF_MS_MAX 2000

static void message_free(struct gvm_message *message)
{
	if (message->page)
		folio_put(message->page);
	kfree(message);
}

static void peer_queue_drop(struct gvm_peer *peer)
{
	struct gvm_message *message, *next;
	LIST_HEAD(dropped);

	spin_lock_bh(&peer->lock);
	list_splice_init(&peer->queue, &dropped);
	peer->queued = 0;
	spin_unlock_bh(&peer->lock);
	list_for_each_entry_safe(message, next, &dropped, list)
		message_free(message);
}

static struct folio *page_copy(const void *data, gfp_t gfp)
{
	struct folio *copy = folio_alloc(gfp, 0);

	if (copy)
		memcpy(folio_address(copy), data, PAGE_SIZE);
	return copy;
}

/*
 * Messages about leases do not wait behind pages, or a long queue would let a lease run out. They
 * may overtake others (see ivy.h).
 */
static bool message_urgent(const struct ivy_msg *m)
{
	return ivy_type_urgent(m->type);
}

/* Behind other urgent ones. */
static void peer_insert(struct gvm_peer *peer, struct gvm_message *message)
{
	struct list_head *at;

	spin_lock_bh(&peer->lock);
	at = &peer->queue;
	while (!list_is_last(at, &peer->queue) &&
	       list_entry(at->next, struct gvm_message, list)->urgent)
		at = at->next;
	list_add(&message->list, at);
	peer->queued++;
	spin_unlock_bh(&peer->lock);
}

static void peer_append(struct gvm_peer *peer, struct gvm_message *message)
{
	spin_lock_bh(&peer->lock);
	list_add_tail(&message->list, &peer->queue);
	peer->queued++;
	spin_unlock_bh(&peer->lock);
}

void gvm_peer_queue_frame(struct gvm_peer *peer, enum frame_kind kind, const u8 *body, u16 bytes)
{
	struct frame_head head = { .kind = kind, .body_bytes = bytes };
	struct gvm_message *message;

	if (READ_ONCE(peer->queued) >= QUEUED_MAX)
		return;
	message = kzalloc(struct_size(message, data, FRAME_HEAD_BYTES + bytes), GFP_DISPENSABLE);
	if (!message)
		return;
	message->bytes = FRAME_HEAD_BYTES + bytes;
	gvm_frame_head_encode(&head, message->data);
	memcpy(message->data + FRAME_HEAD_BYTES, body, bytes);
	peer_append(peer, message);
}

void gvm_peer_queue(struct gvm_peer *peer, u32 tag, const struct ivy_msg *m, struct folio *page,
		    const void *data)
{
	unsigned int bytes = IVY_HDR_BYTES + m->count * ivy_entry_bytes(m->type);
	struct frame_head head = { .kind = FRAME_MESSAGE, .tag = tag };
	struct gvm_message *message;
	bool urgent = message_urgent(m);

	if (READ_ONCE(peer->queued) >= (urgent ? QUEUED_URGENT_MAX : QUEUED_MAX))
		return;
	message = kmalloc(struct_size(message, data, FRAME_HEAD_BYTES + bytes),
			  GFP_ATOMIC | __GFP_NOWARN);
	if (!message)
		return;
	message->bytes = FRAME_HEAD_BYTES + bytes;
	message->urgent = urgent;
	message->borrowed = page;
	message->page = NULL;
	if (page) {
		folio_get(page);
		message->page = page;
	} else if (data) {
		message->page = page_copy(data, GFP_ATOMIC | __GFP_NOWARN);
		if (!message->page) {
			kfree(message);
			return;
		}
	}
	head.body_bytes = bytes + (message->page ? PAGE_SIZE : 0);
	gvm_frame_head_encode(&head, message->data);
	ivy_msg_pack(m, message->data + FRAME_HEAD_BYTES);
	if (urgent)
		peer_insert(peer, message);
	else
		peer_append(peer, message);
}

/* Takes the next message from the queue, or NULL; *more: whether there are others behind it. */
static struct gvm_message *peer_take(struct gvm_peer *peer, bool *more)
{
	struct gvm_message *message;

	spin_lock_bh(&peer->lock);
	message = list_first_entry_or_null(&peer->queue, struct gvm_message, list);
	if (message) {
		list_del(&message->list);
		peer->queued--;
	}
	*more = !list_empty(&peer->queue);
	spin_unlock_bh(&peer->lock);
	return message;
}

/* Seals the next message for the link: 0; -ENOENT: there is none; or -EOVERFLOW. */
static int peer_seal(struct gvm_peer *peer, struct link *link)
{
	struct gvm_message *message = peer_take(peer, &peer->more);
	unsigned int bytes;
	int err;

	if (!message)
		return -ENOENT;
	bytes = message->bytes;
	memcpy(peer->frame, message->data, bytes);
	if (message->page) {
		memcpy(peer->frame + bytes, folio_address(message->page), PAGE_SIZE);
		bytes += PAGE_SIZE;
	}
	message_free(message);
	err = gvm_seal_close(&link->to_peer, peer->frame, bytes);
	if (err)
		return err;
	peer->frame_bytes = bytes + SEAL_BYTES;
	peer->sent_bytes = 0;
	return 0;
}

static void peer_frame_end(struct gvm_peer *peer)
{
	gvm_buffer_put(peer->frame);
	peer->frame = NULL;
	peer->frame_bytes = 0;
	peer->sent_bytes = 0;
}

/* Of all that is to be sent nothing is, not even the rest of a frame. */
static void peer_silence(struct gvm_peer *peer)
{
	mutex_lock(&peer->transmit);
	peer_queue_drop(peer);
	peer_frame_end(peer);
	mutex_unlock(&peer->transmit);
}

/* The rest of a frame, and all messages that are queued: 0, or an error of gvm_link_send(). */
static int peer_send(struct gvm_peer *peer, struct link *link)
{
	struct kvec part;
	int sent, err;

	do {
		while (peer->sent_bytes < peer->frame_bytes) {
			part.iov_base = peer->frame + peer->sent_bytes;
			part.iov_len = peer->frame_bytes - peer->sent_bytes;
			sent = gvm_link_send(link, &part, 1, peer->more);
			if (sent <= 0)
				return sent ?: -EPIPE;
			peer->sent_bytes += sent;
		}
		err = peer_seal(peer, link);
	} while (!err);
	return err == -ENOENT ? 0 : err;
}

/* As much as the link takes. The rest of another link's frame is lost. */
static int peer_send_on(struct gvm_peer *peer, struct link *link)
{
	int err;

	if (peer->frame_serial != link->serial)
		peer_frame_end(peer);
	peer->frame_serial = link->serial;
	if (!peer->frame)
		peer->frame = gvm_buffer_get(GFP_ATOMIC | __GFP_NOWARN);
	if (!peer->frame)
		return -ENOBUFS;
	err = peer_send(peer, link);
	if (peer->sent_bytes == peer->frame_bytes)
		peer_frame_end(peer);
	return err;
}

/*
 * Replaces the borrowed frame by a copy; false: no memory. Does not wait: renewals are behind it.
 */
static bool message_copy(struct gvm_message *message)
{
	struct folio *copy = page_copy(folio_address(message->page), GFP_NOWAIT | __GFP_NOWARN);

	if (!copy)
		return false;
	folio_put(message->page);
	message->page = copy;
	message->borrowed = false;
	return true;
}

/*
 * Returns the frames that queued messages borrowed. If there is no memory for copies the messages
 * are dropped, as in gvm_peer_queue().
 *
 * Only the holder of `transmit` removes messages, so they stay while the lock is dropped; messages
 * queued behind them meanwhile are left to the tasks that queue them, which transmit next.
 */
static void peer_return_borrowed(struct gvm_peer *peer)
{
	struct gvm_message *message, *next;
	LIST_HEAD(dropped);
	bool copied;

	lockdep_assert_held(&peer->transmit);
	spin_lock_bh(&peer->lock);
	list_for_each_entry_safe(message, next, &peer->queue, list) {
		if (!message->borrowed)
			continue;
		spin_unlock_bh(&peer->lock);
		copied = message_copy(message);
		spin_lock_bh(&peer->lock);
		if (!copied) {
			list_move(&message->list, &dropped);
			peer->queued--;
		}
	}
	spin_unlock_bh(&peer->lock);
	list_for_each_entry_safe(message, next, &dropped, list)
		message_free(message);
}

static void peer_connect_soon(struct gvm_peer *peer, unsigned int ms)
{
	spin_lock_bh(&peer->lock);
	if (!peer->down && !peer->link && !peer->attempt)
		queue_delayed_work(gvm_workqueue, &peer->connect_work, msecs_to_jiffies(ms));
	spin_unlock_bh(&peer->lock);
}

static void peer_transmit_in(struct gvm_peer *peer, unsigned int ms)
{
	queue_delayed_work(gvm_workqueue, &peer->transmit_work, msecs_to_jiffies(ms));
}

/* The connection, with a reference, or NULL; *waiting: whether messages are queued. */
static struct link *peer_link(struct gvm_peer *peer, bool *waiting)
{
	struct link *link;

	spin_lock_bh(&peer->lock);
	link = peer->link;
	if (link)
		gvm_link_get(link);
	*waiting = !list_empty(&peer->queue);
	spin_unlock_bh(&peer->lock);
	return link;
}

void gvm_peer_transmit(struct gvm_peer *peer)
{
	struct link *link;
	bool waiting;
	int err;

	mutex_lock(&peer->transmit);
	link = peer_link(peer, &waiting);
	if (link) {
		err = waiting || peer->frame ? peer_send_on(peer, link) : 0;
		if (err && err != -EAGAIN && err != -ENOBUFS)
			gvm_link_close(link);
		gvm_link_put(link);
	} else {
		peer_frame_end(peer);
		err = waiting ? -ENOTCONN : 0;
	}
	if (err)
		peer_return_borrowed(peer);
	mutex_unlock(&peer->transmit);
	if (err == -ENOBUFS)
		peer_transmit_in(peer, RETRY_MS);
	else if (err && err != -EAGAIN)
		peer_connect_soon(peer, 0);
}

static void peer_transmit_work(struct work_struct *work)
{
	gvm_peer_transmit(container_of(to_delayed_work(work), struct gvm_peer, transmit_work));
}

void gvm_peer_transmit_later(struct gvm_peer *peer)
{
	peer_transmit_in(peer, 0);
}

static void peer_failed(struct gvm_peer *peer)
{
	lockdep_assert_held(&peer->lock);
	peer->failed = peer->tried;
	peer->fails = true;
}

static void peer_connect(struct work_struct *work)
{
	struct gvm_peer *peer = container_of(to_delayed_work(work), struct gvm_peer, connect_work);
	struct sockaddr_storage address;
	struct link *before, *link;
	bool wanted;

	spin_lock_bh(&peer->lock);
	before = peer->link; /* only compared: it may end at any time */
	wanted = !peer->down && !peer->attempt &&
		 (before ? peer->moves : !list_empty(&peer->queue));
	peer->moves &= !wanted;
	if (wanted)
		peer->tried = jiffies;
	address = peer->address;
	spin_unlock_bh(&peer->lock);
	if (!wanted)
		return;
	peer->backoff_ms = clamp(peer->backoff_ms * 2, BACKOFF_MS_MIN, BACKOFF_MS_MAX);
	if (gvm_link_connect(peer->links, peer, &address, &link)) {
		spin_lock_bh(&peer->lock);
		peer_failed(peer);
		spin_unlock_bh(&peer->lock);
		peer_connect_soon(peer, peer->backoff_ms);
		return;
	}
	/*
	 * The link may have closed already, or even be up: then gvm_peer_link_down() and _up() have
	 * found no attempt to clear, and it must not become one here.
	 */
	spin_lock_bh(&peer->lock);
	if (peer->link == before && !peer->attempt && !peer->down && !READ_ONCE(link->closed)) {
		peer->attempt = link;
		gvm_link_get(link);
	} else if (READ_ONCE(link->closed) && READ_ONCE(link->state) != LINK_UP) {
		peer_failed(peer);
	}
	spin_unlock_bh(&peer->lock);
	if (READ_ONCE(link->closed))
		gvm_peer_link_down(peer, link);
	gvm_link_put(link);
}

bool gvm_peer_accepts(struct gvm_peer *peer)
{
	struct link *yields = NULL;
	bool accepts = true;

	spin_lock_bh(&peer->lock);
	if (peer->down) {
		accepts = false;
	} else if (peer->attempt) {
		accepts = peer->id < peer->self;
		if (accepts)
			swap(peer->attempt, yields); /* it has not failed */
	}
	spin_unlock_bh(&peer->lock);
	if (yields) {
		gvm_link_close(yields);
		gvm_link_put(yields);
	}
	return accepts;
}

bool gvm_peer_connected(struct gvm_peer *peer)
{
	return READ_ONCE(peer->link);
}

bool gvm_peer_unreachable(struct gvm_peer *peer, unsigned long since)
{
	bool unreachable;

	spin_lock_bh(&peer->lock);
	unreachable = !peer->link && peer->fails && time_after_eq(peer->failed, since);
	spin_unlock_bh(&peer->lock);
	return unreachable;
}

int gvm_peer_link_up(struct gvm_peer *peer, struct link *link)
{
	struct link *before, *attempt = NULL;

	spin_lock_bh(&peer->lock);
	if (peer->down) {
		spin_unlock_bh(&peer->lock);
		return -ESHUTDOWN;
	}
	before = peer->link;
	peer->link = link;
	gvm_link_get(link);
	if (peer->attempt == link) {
		attempt = peer->attempt;
		peer->attempt = NULL;
	}
	peer->backoff_ms = 0;
	peer->fails = false;
	/* Where the list has changed during the handshake it is of the old addresses. */
	peer->moves = link->digest != peer->digest;
	if (peer->moves)
		queue_delayed_work(gvm_workqueue, &peer->connect_work, 0);
	spin_unlock_bh(&peer->lock);
	if (attempt)
		gvm_link_put(attempt);
	if (before) {
		gvm_link_close_sync(before);
		gvm_link_put(before);
	}
	return 0;
}

int gvm_peer_link_begin(struct gvm_peer *peer, struct link *link)
{
	gvm_peer_transmit(peer);
	/*
	 * If it was closed before the peer pointed to it, its down() found nothing: do that here.
	 */
	if (READ_ONCE(link->closed)) {
		gvm_peer_link_down(peer, link);
		return -ENOTCONN;
	}
	return 0;
}

void gvm_peer_link_down(struct gvm_peer *peer, struct link *link)
{
	struct link *released[2] = { NULL, NULL };
	bool waits;

	spin_lock_bh(&peer->lock);
	if (peer->link == link)
		swap(peer->link, released[0]);
	if (peer->attempt == link) {
		swap(peer->attempt, released[1]);
		peer_failed(peer);
	}
	waits = !list_empty(&peer->queue);
	/* Under the lock: not after gvm_peer_shutdown(), behind which the peer may be freed. */
	if (peer->moves && peer->link && !peer->down)
		queue_delayed_work(gvm_workqueue, &peer->connect_work, 0);
	spin_unlock_bh(&peer->lock);
	if (released[0])
		gvm_link_put(released[0]);
	if (released[1])
		gvm_link_put(released[1]);
	if (waits)
		peer_connect_soon(peer, max(READ_ONCE(peer->backoff_ms), BACKOFF_MS_MIN));
}

void gvm_peer_address(const struct giantvm_node *node, struct sockaddr_storage *where)
{
	struct in6_addr in6;

	memset(where, 0, sizeof(*where));
	memcpy(&in6, node->address, sizeof(in6));
	if (ipv6_addr_v4mapped(&in6)) {
		struct sockaddr_in *in = (struct sockaddr_in *)where;

		in->sin_family = AF_INET;
		in->sin_port = htons(node->port);
		in->sin_addr.s_addr = in6.s6_addr32[3];
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)where;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(node->port);
		in->sin6_addr = in6;
	}
}

int gvm_peer_create(struct gvm_cluster *cluster, struct links *links, u16 self, u16 id,
		    struct gvm_peer **out)
{
	struct gvm_peer *peer = kzalloc(sizeof(*peer), GFP_KERNEL);

	if (!peer)
		return -ENOMEM;
	peer->cluster = cluster;
	peer->links = links;
	peer->self = self;
	peer->id = id;
	peer->down = true;
	spin_lock_init(&peer->lock);
	INIT_LIST_HEAD(&peer->queue);
	mutex_init(&peer->transmit);
	INIT_DELAYED_WORK(&peer->transmit_work, peer_transmit_work);
	INIT_DELAYED_WORK(&peer->connect_work, peer_connect);
	*out = peer;
	return 0;
}

void gvm_peer_list(struct gvm_peer *peer, const struct giantvm_node *node, u64 digest,
		   const u8 *key)
{
	struct sockaddr_storage address;
	bool moves;

	gvm_peer_address(node, &address);
	if (!peer->listed) {
		peer_silence(peer); /* messages may have been queued as it was forgotten */
		if (key)
			memcpy(peer->key, key, sizeof(peer->key));
	}
	spin_lock_bh(&peer->lock);
	peer->address = address;
	moves = peer->link && peer->digest != digest;
	peer->moves |= moves;
	peer->down = false;
	WRITE_ONCE(peer->digest, digest);
	WRITE_ONCE(peer->listed, true);
	spin_unlock_bh(&peer->lock);
	if (moves)
		mod_delayed_work(gvm_workqueue, &peer->connect_work, 0);
}

void gvm_peer_unlist(struct gvm_peer *peer)
{
	struct link *links[2];
	int i;

	WRITE_ONCE(peer->listed, false);
	gvm_peer_shutdown(peer);
	spin_lock_bh(&peer->lock);
	links[0] = peer->link;
	links[1] = peer->attempt;
	for (i = 0; i < 2; i++)
		if (links[i])
			gvm_link_get(links[i]);
	spin_unlock_bh(&peer->lock);
	for (i = 0; i < 2; i++) {
		if (!links[i])
			continue;
		gvm_link_close_sync(links[i]);
		gvm_link_put(links[i]);
	}
	peer_silence(peer);
}

void gvm_peer_shutdown(struct gvm_peer *peer)
{
	spin_lock_bh(&peer->lock);
	peer->down = true;
	spin_unlock_bh(&peer->lock);
	cancel_delayed_work_sync(&peer->connect_work);
}

void gvm_peer_destroy(struct gvm_peer *peer)
{
	if (!peer)
		return;
	cancel_delayed_work_sync(&peer->transmit_work);
	peer_queue_drop(peer);
	gvm_buffer_put(peer->frame);
	mutex_destroy(&peer->transmit);
	memzero_explicit(peer->key, sizeof(peer->key));
	kfree(peer);
}
