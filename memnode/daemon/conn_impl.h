/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn_impl.h - what the files of a connection share.
 *
 * Everything here runs to completion on one thread. Where a function says that it may destroy the
 * connection, the caller touches it no more.
 */
#ifndef GVM_CONN_IMPL_H
#define GVM_CONN_IMPL_H

#include "conn.h"

#define SECOND	       1000000000ull
#define TX_BYTES_MAX   (4u << 20) /* answers queued: no request is taken above it */
#define TX_REPLIES_MAX 512u

struct conn {
	TAILQ_ENTRY(conn) link, waiting_link, stranger_link, held_link, turn_link;
	struct conns *all;
	int fd;
	union conn_addr peer;
	struct strangers *strangers; /* that it is among; NULL: it is none */
	bool receiving, sending; /* an operation of the engine is under way */
	bool waiting;		 /* in conns.waiting */
	bool queued;		 /* in conns.turns, or turns_strangers */
	bool advances;		 /* its turn is for more than to send */
	bool paused;		 /* until the peer has taken answers */
	bool eof;		 /* nothing more will be received */
	bool lingering;		 /* all answers are sent; waits for the peer to close */
	bool closing;
	bool rx_whole;		 /* the rest of a large frame is wanted */
	bool rx_kept;		 /* a large buffer is kept, without a large frame */
	uint64_t born_ns, rx_ns, tx_ns; /* last progress */
	uint64_t rx_large_ns;		/* a large frame */
	uint8_t *rx;			/* small, or a borrowed large one */
	uint32_t rx_len;
	struct reply_queue out; /* in the order in which they go, the first may be sent in part */
	struct reply_queue urgent, bulk;
	struct reply_queue held; /* until the journal is written up to their numbers, which ascend */
	unsigned held_count;
	uint32_t out_done; /* bytes of the first that are sent */
	uint32_t tx_bytes, tx_replies;
	struct session session;
	struct secure *secure; /* NULL: none (yet) */
	uint8_t small[CONN_RX_SMALL];
};

/* Ciphertext that waits to be sent. */
static inline size_t conn_cipher_left(const struct conn *c)
{
	return c->secure ? tls_out_bytes(&c->secure->tls) : 0;
}

static inline bool conn_tx_pending(const struct conn *c)
{
	return c->tx_replies || conn_cipher_left(c);
}

/* conn_rx.c */
/*
 * Makes room for a frame of `total` bytes (0: not known yet), of which some may be in the buffer.
 * Returns up to how many bytes to fill the buffer; 0: no large buffer is free.
 */
uint32_t conn_rx_room(struct conn *c, uint32_t total);
/* Back to the small buffer, which has room for what there is. */
void conn_rx_return(struct conn *c);
/* Whether a large buffer stays with its connection when no large frame is being received: one that
 * has just sent such a frame will soon send another. */
bool conn_rx_keep(const struct conn *c, uint64_t now);
/* `whole`: the rest of a frame, so that fewer bytes need not complete the receive. */
void conn_receive(struct conn *c, uint32_t up_to, bool whole);

/* conn_tx.c */
/* Takes over an answer, which goes in its turn, and not before the journal has what it promises. */
void conn_reply(struct conn *c, struct reply *r);
/* Answers that the journal need keep no longer go to the others. False: no memory for a refusal. */
bool conn_held_go(struct conn *c);
/* Whether it has as many answers queued as it may. */
bool conn_replies_are_many(const struct conn *c);
/* Begins to send what there is, unless a send is under way. */
void conn_send(struct conn *c);
/* So many bytes of answers are sent, or encrypted: they are needed no longer. */
void conn_answers_took(struct conn *c, uint32_t bytes);
void conn_replies_destroy(struct conn *c);

/* conn_tls.c */
/* Whether TLS is to be begun, or is not up yet. */
static inline bool conn_shakes(const struct conn *c)
{
	return c->secure ? !c->secure->tls.up : c->all->node->tls && !c->session.tls_missing;
}
/*
 * The client's first bytes: whether they are as this node demands. 0; or -ENOMEM and session.why.
 */
int conn_tls_begin(struct conn *c);
/*
 * Goes on with the handshake, or puts plaintext into the buffer up to `up_to`: 1: done; 0: more
 * bytes are needed; -EBADMSG and session.why.
 */
int conn_tls_take(struct conn *c, uint32_t up_to);
/* A TLS client at a node that uses none is told so in its own terms. False: it is not one. */
bool conn_tls_refuse(struct conn *c);

/* conn_stranger.c */
/* Now it is among these; NULL: it is no stranger. */
void conn_strangers_join(struct conn *c, struct strangers *strangers);
unsigned strangers_count(const struct conns *s);
/* The one that has to go; NULL: there is none. */
struct conn *strangers_oldest(const struct conns *s);

/* conn_life.c */
/* It has a turn when those that are in the queue had theirs. */
void conn_turn_queue(struct conn *c, bool advances);
void conn_turn_leave(struct conn *c);
void conn_waiting_end(struct conn *c);
/* Advances as far as possible. May destroy the connection. */
void conn_advance(struct conn *c);
/* Ends the connection: at once, or when its operations under way have ended. May destroy it. */
void conn_close(struct conn *c);

#endif
