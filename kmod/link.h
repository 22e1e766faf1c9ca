/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One TCP connection: its callbacks, its handshake (frame.h), and the frames that arrive on it.
 *
 * Who holds a reference: the cluster's list until link_close(), the peer for as long as it points
 * to it, and each work that is queued. The last one to let go frees the socket, always in a
 * process.
 */
#ifndef GVM_LINK_H
#define GVM_LINK_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/workqueue.h>

#include "frame.h"

struct gvm_cluster;
struct gvm_peer;
struct socket;
struct sock;

enum link_state {
	LINK_CONNECTING, /* ours: TCP is not there yet */
	LINK_GREETING, /* waits for the other's HELLO */
	LINK_PROVING, /* waits for the other's PROOF */
	LINK_UP,
};

struct link {
	struct kref ref;
	u64 serial; /* of no other link, ever: an address may be one of before */
	struct list_head list; /* of the cluster, under its links_lock */
	struct gvm_cluster *cluster;
	struct gvm_peer *peer; /* of an incoming one: set by the other's HELLO */
	struct socket *socket;
	bool outgoing;
	bool closed; /* under the cluster's links_lock; set once */
	bool unproven; /* incoming, on the list, and not up yet; under links_lock */

	/* There is one sender at a time: the handshake, or who has the peer's `transmit`. */
	bool sending;
	/*
	 * The receiving work has what follows, else whoever has the socket's spinlock, under which
	 * this is changed. The state is the work's to change.
	 */
	bool working;
	enum link_state state;
	u8 *buffer;
	unsigned int filled;
	u8 hello_sent[HELLO_BYTES], hello_received[HELLO_BYTES];

	struct delayed_work receive_work;
	struct delayed_work deadline_work; /* of the handshake */

	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
};

/* Takes over an accepted socket, also when it fails. */
int link_accept(struct gvm_cluster *cluster, struct socket *socket);
/*
 * Closes the oldest of those that somebody made and is not getting any further with, if they are
 * many.
 */
void link_bound_unproven(struct gvm_cluster *cluster);
/* Begins to connect; *out has a reference for the caller. */
int link_connect(struct gvm_peer *peer, struct link **out);

/* What links keep for the next ones: before there is one, and when none is left. */
int links_init(void);
void links_exit(void);

void link_get(struct link *link);
void link_put(struct link *link);

/* Ends it; may be called any number of times, and by its own works. */
void link_close(struct link *link);
/*
 * The same, and nothing that it received is being worked on when this returns. Not by its own
 * works.
 */
void link_close_sync(struct link *link);

/* The handshake is done: messages may flow. Of its receiving work alone. */
int link_up(struct link *link);

/*
 * Sends as much as there is room for. Bytes; -EAGAIN: peer_transmit_later() comes with the room;
 * -ENOBUFS: there was no memory, and nobody tells when there is; or another errno: then the link is
 * no good.
 */
int link_send(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more);

#endif
