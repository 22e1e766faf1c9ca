/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another node: its address, its queue of messages to send, and the one connection over which both
 * sides send. The connection is made by whichever side first has a message to send.
 *
 * When a connection breaks, messages in flight are lost; queued ones go over the next connection.
 * The protocol core retries.
 */
#ifndef GVM_PEER_H
#define GVM_PEER_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "auth.h"
#include "frame.h"

struct gvm_cluster;
struct giantvm_node;
struct link;
struct links;
struct folio;

/* A message on its way out. */
struct gvm_message {
	struct list_head list;
	/*
	 * Sent after `data`; or NULL. A borrowed page is a frame of a region: to a revocation the
	 * reference looks like a pin, so it is kept no longer than a send takes.
	 */
	struct folio *page;
	bool borrowed;
	bool urgent; /* queued before those that are not, behind other urgent ones */
	u16 bytes; /* of head and body, without the page */
	u8 data[];
};

struct gvm_peer {
	struct gvm_cluster *cluster;
	struct links *links;
	u16 self, id; /* node ids: this node's, the peer's */
	u8 key[AUTH_BYTES]; /* where the cluster has any */
	u64 digest; /* of both nodes' addresses and lease_ms, which both must have alike */
	bool listed; /* false: the node was in the list once */

	spinlock_t lock;
	struct sockaddr_storage address; /* under lock */
	struct list_head queue; /* under lock */
	unsigned int queued; /* under lock */
	struct link *link; /* the one that is up, or NULL; under lock; holds a reference */
	struct link *attempt; /* outgoing, in its handshake; under lock; holds a reference */
	bool down; /* no connections; under lock */
	bool moves; /* makes a connection though one is up: of other addresses; under lock */
	/* when the last attempt began, and the last one that came to nothing; under lock */
	unsigned long tried, failed;
	bool fails; /* since a connection was up the last time, an attempt has; under lock */

	/* taken around lock; one sender at a time, so that messages stay in order */
	struct mutex transmit;
	u8 *frame; /* sealed, while a part of it is still to be sent, or NULL; under transmit */
	unsigned int frame_bytes, sent_bytes; /* under transmit */
	u64 frame_serial; /* of the link that it is sealed for; under transmit */
	bool more; /* messages were queued behind that one; under transmit */

	struct delayed_work transmit_work, connect_work;
	unsigned int backoff_ms; /* only connect_work and gvm_peer_link_up() */
};

/* In `where`; the address is not any, and the port not 0. */
void gvm_peer_address(const struct giantvm_node *node, struct sockaddr_storage *where);
/* `self`: this node's id. -ENOMEM. It is not in the list yet. */
int gvm_peer_create(struct gvm_cluster *cluster, struct links *links, u16 self, u16 id,
		    struct gvm_peer **out);
/*
 * The list has the node, with that address. `digest` is of a list with it. `key`: NULL, or that of
 * the two nodes, which changes only while the node is not listed. Where a connection is up and
 * `digest` is another than before, it stays until one with the new digest replaces it: this side
 * tries once, in vain if the peer has another list; then the peer does when it gets this one.
 */
void gvm_peer_list(struct gvm_peer *peer, const struct giantvm_node *node, u64 digest,
		   const u8 *key);
/*
 * The list has the node no longer: ends its connection, and drops its messages. The struct stays,
 * for the node may be listed again. Sleeps, but waits for no peer.
 */
void gvm_peer_unlist(struct gvm_peer *peer);
/* After every link of the cluster has ended. */
void gvm_peer_destroy(struct gvm_peer *peer);
/* No more connections; waits for the works. */
void gvm_peer_shutdown(struct gvm_peer *peer);

/*
 * Queues a message; LEASE, LEASED and FENCED go before others. Never sleeps, may be called under a
 * region's lock. Takes a reference to `page`. If there is no memory, or the queue is full, the
 * message is silently dropped, as on a broken connection.
 */
void gvm_peer_queue(struct gvm_peer *peer, u32 tag, const struct ivy_msg *m, struct folio *page,
		    const void *data);
/* The same for a frame that is no message of the protocol core. */
void gvm_peer_queue_frame(struct gvm_peer *peer, enum frame_kind kind, const u8 *body, u16 bytes);
/*
 * Sends queued messages, as many as the connection takes; if there is none, begins to make one.
 * Sleeps, but not for memory: without memory it retries by itself.
 */
void gvm_peer_transmit(struct gvm_peer *peer);
/* The same for callers that may not sleep. */
void gvm_peer_transmit_later(struct gvm_peer *peer);

/*
 * Whether an incoming connection of that peer may go on: not if this node is connecting to the peer
 * at the same time and has precedence (its id is the lower one). If it may, our attempt is closed.
 */
bool gvm_peer_accepts(struct gvm_peer *peer);
/* Whether a connection is ready for messages. */
bool gvm_peer_connected(struct gvm_peer *peer);
/*
 * Whether no connection is up, and an attempt to make one has failed that began at `since` (in
 * jiffies) or later. A peer that stands still for less than a handshake's time lets none fail.
 */
bool gvm_peer_unreachable(struct gvm_peer *peer, unsigned long since);
/*
 * A link to the peer is up, and replaces the former one, which has ended on return. -ESHUTDOWN: the
 * node is going down. Sleeps.
 */
int gvm_peer_link_up(struct gvm_peer *peer, struct link *link);
/* Sends the queued messages over it. -ENOTCONN: it has ended already. */
int gvm_peer_link_begin(struct gvm_peer *peer, struct link *link);
void gvm_peer_link_down(struct gvm_peer *peer, struct link *link);

#endif
