/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One TCP connection: its callbacks, its handshake (frame.h), and the frames that arrive on it.
 *
 * Who holds a reference: the list of all until gvm_link_close(), the peer for as long as it points
 * to it, and each work that is queued. The last one to let go frees the socket, always in a
 * process.
 */
#ifndef GVM_LINK_H
#define GVM_LINK_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "frame.h"

struct gvm_peer;
struct kvec;
struct link;
struct net;
struct sockaddr_storage;
struct socket;
struct sock;

enum link_state {
	LINK_CONNECTING, /* ours: TCP is not there yet */
	LINK_GREETING, /* waits for the other's HELLO */
	LINK_PROVING, /* waits for the other's PROOF */
	LINK_UP,
};

/*
 * What is done with connections, by those above. In the link's receiving work, if not said
 * otherwise.
 */
struct link_ops {
	/* TCP has connected one that this node made: 0, or why it is to be closed. */
	int (*connected)(struct link *link);
	/* A frame that has come whole: the same. */
	int (*frame)(struct link *link, const struct frame_head *head, const u8 *body);
	/* The same in a softirq; false: it is for frame(). Only of a link that is up. */
	bool (*frame_at_once)(struct link *link, const struct frame_head *head, const u8 *body);
	/* What had arrived has been handled, for now. */
	void (*received)(struct link *link);
	/* Its handshake is done: 0, or why it is to be closed. */
	int (*up)(struct link *link);
	/* What came is not of this protocol; it will be closed. */
	void (*refused)(struct link *link);
	/* It has been closed; in any process. */
	void (*down)(struct link *link);
	/* One that is up takes more again; in a softirq. */
	void (*room)(struct link *link);
};

/* All connections of a node, for as long as it is part of a cluster. */
struct links {
	const struct link_ops *ops;
	struct net *net;
	unsigned int nr_nodes;
	void (*listener_data_ready)(struct sock *sk);

	spinlock_t lock;
	struct list_head list; /* every connection, under lock */
	unsigned int nr_unproven; /* of these: incoming ones that are not up; under lock */
	unsigned int nr; /* these, and those that are not yet freed; under lock */
	bool closing; /* no new ones; under lock */
	wait_queue_head_t gone;
};

struct link {
	struct kref ref;
	u64 serial; /* of no other link, ever: an address may be one of before */
	struct list_head list; /* under the lock of the links */
	struct links *links;
	struct gvm_peer *peer; /* of an incoming one: set by the other's HELLO */
	struct socket *socket;
	bool outgoing;
	bool closed; /* under the lock of the links; set once */
	bool unproven; /* incoming, on the list, and not up yet; under the same */

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

/* `links` are zeroed, and have ops, net and nr_nodes. 0 or -ENOMEM. */
int gvm_links_init(struct links *links);
/* Ends every connection, and waits until all are freed. After that nothing is kept for new ones. */
void gvm_links_exit(struct links *links);

/* Takes over an accepted socket, also when it fails. */
int gvm_link_accept(struct links *links, struct socket *socket);
/*
 * Closes the oldest of those that somebody made and is not getting any further with, if they are
 * many.
 */
void gvm_link_bound_unproven(struct links *links);
/* Begins to connect to a peer; *out has a reference for the caller. */
int gvm_link_connect(struct links *links, struct gvm_peer *peer,
		     const struct sockaddr_storage *address, struct link **out);

void gvm_link_get(struct link *link);
void gvm_link_put(struct link *link);

/* Ends it; may be called any number of times, and by its own works. */
void gvm_link_close(struct link *link);
/*
 * The same, and nothing that it received is being worked on when this returns. Not by its own
 * works.
 */
void gvm_link_close_sync(struct link *link);

/* The handshake is done: messages may flow. Of its receiving work alone. */
int gvm_link_up(struct link *link);

/*
 * Sends as much as there is room for. Bytes; -EAGAIN: link_ops.room() tells of more;
 * -ENOBUFS: there was no memory, and nobody tells when there is; or another errno: then the link is
 * no good.
 */
int gvm_link_send(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more);

#endif
