/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One TCP connection: its callbacks, its handshake (frame.h), and the frames that arrive on it.
 *
 * References: the list of links has one until gvm_link_close(), the peer one for as long as it
 * points to the link, and each queued work one. The last put frees the socket, always in process
 * context.
 */
#ifndef GVM_LINK_H
#define GVM_LINK_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/socket.h>
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

/* What a peer may send at once before it is authenticated: one frame of the handshake. */
#define EARLY_BYTES (FRAME_HEAD_BYTES + HELLO_BYTES)

enum link_state {
	LINK_CONNECTING, /* outgoing: TCP has not connected yet */
	LINK_GREETING, /* waits for the peer's HELLO */
	LINK_PROVING, /* waits for the peer's PROOF */
	LINK_UP,
};

/*
 * The handlers of a connection's events, given by the layers above. They run in the link's
 * receiving work, unless stated otherwise. Where one returns int: 0, or an errno with which the
 * link is closed.
 */
struct link_ops {
	/* TCP has connected an outgoing link. */
	int (*connected)(struct link *link);
	/* A whole frame has arrived. */
	int (*frame)(struct link *link, const struct frame_head *head, const u8 *body);
	/* The same in a softirq, for a link that is up; false: left to frame(). */
	bool (*frame_at_once)(struct link *link, const struct frame_head *head, const u8 *body);
	/* All frames that had arrived have been handled, for now. */
	void (*received)(struct link *link);
	/* The handshake is complete. */
	int (*up)(struct link *link);
	/*
	 * The link will be closed: -EBADMSG: the peer has sent bytes that are not of this protocol.
	 * -EILSEQ: a frame is not what the peer has sent.
	 */
	void (*refused)(struct link *link, int err);
	/* The link has been closed; in any process context. */
	void (*down)(struct link *link);
	/* A link that is up has send space again; in a softirq. */
	void (*room)(struct link *link);
};

/* All connections of a node, for as long as it is part of a cluster. */
struct links {
	const struct link_ops *ops;
	struct net *net;
	unsigned int nr_nodes;
	void (*listener_data_ready)(struct sock *sk);
	atomic_long_t nr_altered; /* connections that ended as a frame did not open */

	spinlock_t lock;
	struct list_head list; /* every link that is not closed; under lock */
	unsigned int nr_unproven; /* of these: incoming ones that are not up; under lock */
	unsigned int nr; /* links that are not freed, closed ones included; under lock */
	bool closing; /* no new ones; under lock */
	struct sockaddr_storage own; /* this node's address, port 0; under lock */
	wait_queue_head_t gone;
};

struct link {
	struct kref ref;
	u64 serial; /* unique; the struct's address may be reused */
	struct list_head list; /* under the lock of the links */
	struct links *links;
	struct gvm_peer *peer; /* incoming: set by the peer's HELLO */
	struct socket *socket;
	bool outgoing;
	bool closed; /* under the lock of the links; set once */
	bool unproven; /* incoming, on the list, and not up yet; under the same */

	/* One sender at a time: the handshake, or the holder of the peer's `transmit`. */
	bool sending;
	struct seal to_peer;
	/*
	 * While set, the receiving work owns the fields below; else the holder of the socket's
	 * spinlock does, under which this changes. Only the work changes the state.
	 */
	bool working;
	enum link_state state;
	struct seal from_peer;
	u8 *buffer; /* NULL, `early`, or one of buffers.h */
	unsigned int filled;
	bool opened; /* the first frame in the buffer, which waits for the work */
	u8 early[EARLY_BYTES]; /* the buffer until the handshake is complete */
	u8 hello_sent[HELLO_BYTES], hello_received[HELLO_BYTES];
	u64 digest; /* that the handshake was about: see struct gvm_peer */

	struct delayed_work receive_work;
	struct delayed_work deadline_work; /* of the handshake */

	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
};

/* `links` are zeroed, and have ops, net and nr_nodes. */
void gvm_links_init(struct links *links);
/* Ends every connection, and waits until all are freed. */
void gvm_links_exit(struct links *links);

/* Takes over an accepted socket, also when it fails. -ENOMEM; -ESHUTDOWN: links are being ended. */
int gvm_link_accept(struct links *links, struct socket *socket);
/* Closes the oldest incoming link that has not completed its handshake, if there are too many. */
void gvm_link_bound_unproven(struct links *links);
/*
 * Begins to connect to a peer; *out has a reference for the caller. 0, -ENOMEM, -ESHUTDOWN, or an
 * errno of the network's.
 */
int gvm_link_connect(struct links *links, struct gvm_peer *peer,
		     const struct sockaddr_storage *address, struct link **out);

void gvm_link_get(struct link *link);
void gvm_link_put(struct link *link);

/* Closes the link; may be called any number of times, and by its own works. */
void gvm_link_close(struct link *link);
/* The same, and waits until its receiving work is done. Not to be called by its own works. */
void gvm_link_close_sync(struct link *link);

/*
 * The handshake is complete, and the seals are set: messages may flow. Called by the receiving work
 * only.
 */
int gvm_link_up(struct link *link);

/*
 * Sends as much as there is room for. Returns the bytes sent.
 * -EAGAIN: no room; link_ops.room() tells when there is.
 * -ENOBUFS: no memory; the caller retries by a timer.
 * Another errno: the connection is broken.
 */
int gvm_link_send(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more);

#endif
