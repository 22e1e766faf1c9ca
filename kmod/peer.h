/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another node: its address, the messages that wait to be sent to it, and the one connection over
 * which both sides send. It is made when there is something to send, by whichever side has it.
 *
 * What a connection that breaks had not delivered is lost; what waits goes over the next one. The
 * protocol core asks again for what it misses.
 */
#ifndef GVM_PEER_H
#define GVM_PEER_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "frame.h"

struct gvm_cluster;
struct giantvm_node;
struct link;
struct links;
struct page;

/* A message on its way out. */
struct gvm_message {
	struct list_head list;
	/*
	 * What goes behind `bytes`, or NULL. A borrowed page is a frame of a region: the reference
	 * looks like somebody's pin to a revocation, so it is kept no longer than a send takes.
	 */
	struct page *page;
	bool borrowed;
	bool urgent; /* goes before others that wait, behind its like */
	u16 bytes; /* of head and body, without the page */
	u8 data[];
};

struct gvm_peer {
	struct gvm_cluster *cluster;
	struct links *links;
	u16 self, id; /* of this node, and of that one */
	struct sockaddr_storage address;

	spinlock_t lock;
	struct list_head queue; /* under lock */
	unsigned int queued; /* under lock */
	struct link *link; /* the one that is up, or NULL; under lock; holds a reference */
	struct link *attempt; /* one that we are making; under lock; holds a reference */
	bool down; /* no more connections; under lock */

	/* taken around lock; one sender at a time, so that messages stay in order */
	struct mutex transmit;
	unsigned int sent_bytes; /* of the first message, on that link; under transmit */
	u64 sent_serial; /* the link's; under transmit */

	struct delayed_work transmit_work, connect_work;
	unsigned int backoff_ms; /* only connect_work and gvm_peer_link_up() */
};

/* `self`: this node's id. */
int gvm_peer_create(struct gvm_cluster *cluster, struct links *links, u16 self,
		    const struct giantvm_node *node, struct gvm_peer **out);
/* After every link of the cluster has ended. */
void gvm_peer_destroy(struct gvm_peer *peer);
/* No more connections; waits for the works. */
void gvm_peer_shutdown(struct gvm_peer *peer);

/*
 * Appends a message, or puts it in front if a lease hangs on it; never sleeps, may be called under
 * a region's lock. `page` is referenced. Dropped without a word, as on a broken connection, where
 * memory or patience with the peer ends.
 */
void gvm_peer_queue(struct gvm_peer *peer, u32 tag, const struct ivy_msg *m, struct page *page,
		    const void *data);
/* The same for a frame that is no message of a region. */
void gvm_peer_queue_frame(struct gvm_peer *peer, enum frame_kind kind, const u8 *body, u16 bytes);
/*
 * Sends what waits, as far as the connection takes it, and makes one if there is none. Sleeps, but
 * not for memory: without it tries again by itself.
 */
void gvm_peer_transmit(struct gvm_peer *peer);
/* The same from where one may not sleep. */
void gvm_peer_transmit_later(struct gvm_peer *peer);

/*
 * Whether an incoming connection of that peer may go on: not if it crosses an attempt of ours that
 * has precedence (the lower id's).
 */
bool gvm_peer_accepts(struct gvm_peer *peer);
/* Whether a connection is ready for messages. */
bool gvm_peer_connected(struct gvm_peer *peer);
/* One is, and what came before it has ended when this returns: 0 or -ESHUTDOWN. Sleeps. */
int gvm_peer_link_up(struct gvm_peer *peer, struct link *link);
/* Sends over it what has waited: 0, or -ENOTCONN if it has ended already. */
int gvm_peer_link_begin(struct gvm_peer *peer, struct link *link);
void gvm_peer_link_down(struct gvm_peer *peer, struct link *link);

#endif
