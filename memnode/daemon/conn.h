/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.h - one connection: bytes in, frames out of them, answers back.
 *
 * At most one receive and one send are under way for a connection. An idle one owns a small buffer;
 * a frame that does not fit borrows a large one until it is whole. Answers for which a client waits
 * now (a faulted page) overtake bulk ones. A connection stops receiving while its peer is slow to
 * take answers, and is closed if the peer makes no progress at all.
 *
 * Of a node that demands TLS, a connection begins with plain bytes: those of a TLS client make it a secure
 * one (secure.h), others are answered in plain that TLS is demanded.
 *
 * A peer is a stranger until it has proven that it holds the key: by a whole TLS handshake, or by HELLO and AUTH. There
 * are a bounded number of them; a newcomer has the place of the oldest. Their turns are apart from those of the others,
 * so that what strangers make the node compute delays nobody's request by more than a moment.
 */
#ifndef GVM_CONN_H
#define GVM_CONN_H

#include "conn_addr.h"
#include "io.h"
#include "request.h"
#include "secure.h"

#define CONN_RX_SMALL 4096u

struct conn;
TAILQ_HEAD(conn_list, conn);

/* Oldest first. */
struct strangers {
	struct conn_list list;
	unsigned count;
};

/* A free large receive buffer. */
struct conn_buf {
	SLIST_ENTRY(conn_buf) link;
};

/* All connections, and their shared buffers. */
struct conns {
	struct io *io;
	struct node *node;
	struct conn_list all;
	struct conn_list waiting; /* for a buffer, or a share of pins and copies */
	unsigned count, count_max;
	unsigned closing; /* of count: freed when the engine's operations on them have ended */
	struct conn_list held_list; /* with answers that wait for the disk */
	/* Not closing. Apart are those whose TLS hello was accepted: to send one takes a view of a key holder's. */
	struct strangers unheard, heard;
	unsigned bufs, bufs_free;
	SLIST_HEAD(, conn_buf) free_bufs;
	struct conn_list turns; /* of connections that have more to do than a little */
	struct conn_list turns_strangers;
	unsigned replies;	/* queued, of all connections */
	struct secure_bufs secure_bufs;
	bool finishing;
	bool released; /* buffers or shares were released since the waiting ones last tried */
};

void conns_init(struct conns *s, struct io *io, struct node *node, unsigned count_max);
/* All connections have ended before. */
void conns_deinit(struct conns *s);

/* Takes over fd, or closes it. */
void conn_accept(struct conns *s, int fd, const union conn_addr *peer);
/*
 * For a newcomer: ends the connection of a stranger, if there is one.
 */
void conns_make_room(struct conns *s);
/* Completions. Either may destroy the connection. */
void conn_received(struct conn *c, int result);
void conn_sent(struct conn *c, int result);

/* Whether connections wait for their turn. */
bool conns_have_turns(const struct conns *s);
/* Some turns of connections that wait for theirs. True: there are more. */
bool conns_turns(struct conns *s);
/* Lets those that wait try again if something was released. */
void conns_resume(struct conns *s);
/* The journal has got on, or has failed: answers that waited for it go. */
void conns_progress(struct conns *s);
/* Closes connections that are past a deadline. */
void conns_tick(struct conns *s, uint64_t now_ns);
/* Takes no further requests: each connection ends when those that have arrived are answered. */
void conns_finish(struct conns *s);
/* After that: closes connections whose answers were sent, but whose peers do not close. */
void conns_close_lingering(struct conns *s);
void conns_close(struct conns *s);

#endif
