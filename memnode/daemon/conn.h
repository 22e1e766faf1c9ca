/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.h - one connection: bytes in, frames out of them, answers back.
 *
 * At most one receive and one send are under way for a connection. An idle one owns a small buffer;
 * a frame that does not fit borrows a large one until it is whole. Answers that somebody waits for
 * pass those that nobody does. A connection stops receiving while its peer is behind in taking
 * answers, and is closed when the peer makes no progress at all.
 */
#ifndef GVM_CONN_H
#define GVM_CONN_H

#include "io.h"
#include "request.h"

#include <netinet/in.h>

#define CONN_RX_SMALL 4096u

union conn_addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct conn;
TAILQ_HEAD(conn_list, conn);

/* A large receive buffer, while nobody borrows it. */
struct conn_buf {
	SLIST_ENTRY(conn_buf) link;
};

/* All connections, and what they share. */
struct conns {
	struct io *io;
	struct node *node;
	struct conn_list all;
	struct conn_list waiting; /* for a buffer, or a share of pins and copies */
	unsigned count, count_max;
	unsigned closing; /* of them, those that end as soon as the engine lets go of them */
	struct conn_list unready_list; /* that have not finished HELLO and AUTH, nor are closing; oldest first */
	unsigned unready;
	unsigned bufs, bufs_free;
	SLIST_HEAD(, conn_buf) free_bufs;
	bool finishing;
	bool released; /* something that waiting ones may want, since they last tried */
};

void conns_init(struct conns *s, struct io *io, struct node *node, unsigned count_max);
/* All connections are gone by then. */
void conns_deinit(struct conns *s);

/* Takes over fd, or closes it. */
void conn_accept(struct conns *s, int fd, const union conn_addr *peer);
/* For a newcomer: ends the oldest connection that has not finished HELLO and AUTH, if there is one. */
void conns_make_room(struct conns *s);
/* Completions. Either may destroy the connection. */
void conn_received(struct conn *c, int result);
void conn_sent(struct conn *c, int result);

/* Lets those that wait try again if something was released. */
void conns_resume(struct conns *s);
/* Closes those that are past a deadline. */
void conns_tick(struct conns *s, uint64_t now_ns);
/* No more requests than have arrived: the connections end when these are answered. */
void conns_finish(struct conns *s);
/* Of these, those that were answered and whose peers do not close. */
void conns_close_lingering(struct conns *s);
void conns_close(struct conns *s);

#endif
