// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conn.c - the life of a connection, from accept to close.
 *
 * Everything here runs to completion on one thread: a completion of the engine calls
 * conn_received() or conn_sent(), which advance the connection as far as possible and start its
 * next receive and send. A connection is freed only when neither is under way, since the kernel
 * holds pointers into its buffers and answers until then.
 *
 * So that nobody's flood delays another's fault: a connection with little to do (no answers queued, a request or two
 * in the buffer) is advanced as soon as its completion comes. Any other has a turn when it comes to it: they stand in
 * a queue, a turn takes a few requests and sends a bounded number of bytes, and after some turns completions are
 * looked at again. A connection that is alone has all turns.
 */
#include "conn.h"
#include "../clock.h"
#include "log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND		  1000000000ull
#define HANDSHAKE_NS	  (5 * SECOND)
#define STALL_NS	  (30 * SECOND) /* without progress of a transfer: the connection is closed */
#define STALL_PRESSED_NS  (5 * SECOND)	/* the same while others wait for its buffers or pins */
#define TX_BYTES_MAX	  (4u << 20) /* answers queued: no request is taken above it */
#define TX_REPLIES_MAX	  512u
#define SEND_BYTES_MAX	  (512u << 10) /* of one send: bounds what an urgent answer waits for */
#define SEND_BYTES_TURN	  (128u << 10) /* the same while other connections wait for a turn */
#define TURN_FRAMES	  8u	       /* requests that are taken in a turn */
#define TURNS		  4u	       /* between two looks at completions */
#define LIGHT_BYTES	  1024u	       /* received at a time by a connection with little to do */
#define REPLIES_ALL_MAX	  131072u      /* queued for all connections; above it each has few */
#define REPLIES_FEW	  16u
#define SECURE_IOVS	  256u /* of one buffer of ciphertext */
#define TURN_RECORDS	  8u   /* records, or parts of them, that are decrypted in a turn */
#define CLOSING_MAX	  16u /* connections beyond the limit, while others end */
#define RX_LARGE	  (GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX + CONN_RX_SMALL)
#define RX_LARGE_MAX	  512u
#define RX_LARGE_FREE_MAX 16u
#define RX_KEEP_BUFS	  128u /* with more large buffers, none is kept between frames */
#define RX_KEEP_NS	  (SECOND / 2) /* one is kept this long after a large frame */

struct conn {
	TAILQ_ENTRY(conn) link, waiting_link, unready_link, held_link, turn_link;
	struct conns *all;
	int fd;
	union conn_addr peer;
	bool receiving, sending; /* an operation of the engine is under way */
	bool unready;		 /* in conns.unready_list */
	bool waiting;		 /* in conns.waiting */
	bool queued;		 /* in conns.turns */
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

void conns_init(struct conns *s, struct io *io, struct node *node, unsigned count_max)
{
	*s = (struct conns){.io = io, .node = node, .count_max = count_max};
	TAILQ_INIT(&s->all);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->held_list);
	TAILQ_INIT(&s->turns);
	TAILQ_INIT(&s->unready_list);
}

void conns_deinit(struct conns *s)
{
	struct conn_buf *b;

	assert(!s->count && s->bufs == s->bufs_free && !s->replies);
	secure_bufs_deinit(&s->secure_bufs);
	while ((b = SLIST_FIRST(&s->free_bufs))) {
		SLIST_REMOVE_HEAD(&s->free_bufs, link);
		free(b);
	}
}

static const char *peer_name(const struct conn *c)
{
	static char name[INET6_ADDRSTRLEN + 16];
	char host[INET6_ADDRSTRLEN] = "?";

	if (c->peer.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &c->peer.v6.sin6_addr, host, sizeof(host));
		snprintf(name, sizeof(name), "[%s]:%u", host, ntohs(c->peer.v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &c->peer.v4.sin_addr, host, sizeof(host));
		snprintf(name, sizeof(name), "%s:%u", host, ntohs(c->peer.v4.sin_port));
	}
	return name;
}

static bool rx_borrow(struct conn *c)
{
	struct conns *s = c->all;
	struct conn_buf *b = SLIST_FIRST(&s->free_bufs);

	if (b) {
		SLIST_REMOVE_HEAD(&s->free_bufs, link);
		s->bufs_free--;
	} else {
		b = s->bufs < RX_LARGE_MAX ? malloc(RX_LARGE) : NULL;
		if (!b)
			return false;
		s->bufs++;
	}
	assert(c->rx == c->small && c->rx_len <= CONN_RX_SMALL);
	memcpy(b, c->rx, c->rx_len);
	c->rx = (uint8_t *)b;
	return true;
}

static void rx_return(struct conn *c)
{
	struct conns *s = c->all;
	struct conn_buf *b = (struct conn_buf *)c->rx;

	if (c->rx == c->small)
		return;
	assert(c->rx_len <= CONN_RX_SMALL);
	if (c->rx_len)
		memcpy(c->small, c->rx, c->rx_len);
	c->rx = c->small;
	s->released = true;
	if (s->bufs_free < RX_LARGE_FREE_MAX) {
		SLIST_INSERT_HEAD(&s->free_bufs, b, link);
		s->bufs_free++;
	} else {
		free(b);
		s->bufs--;
	}
}

/* Whether a large buffer stays with its connection when no large frame is being received: one that
 * has just sent such a frame will soon send another. */
static bool rx_keep(const struct conn *c, uint64_t now)
{
	return c->all->bufs <= RX_KEEP_BUFS && TAILQ_EMPTY(&c->all->waiting) &&
	       now - c->rx_large_ns < RX_KEEP_NS;
}

/* Makes room for a frame of `total` bytes (0: not known yet), of which some may be in the buffer.
 * Returns up to how many bytes to fill the buffer; 0: no large buffer is free. */
static uint32_t rx_room(struct conn *c, uint32_t total)
{
	c->rx_kept = false;
	if (total > CONN_RX_SMALL) {
		if (c->rx == c->small && !rx_borrow(c))
			return 0;
		c->rx_large_ns = c->rx_ns;
		return total;
	}
	if (c->rx == c->small)
		return CONN_RX_SMALL;
	if (rx_keep(c, c->rx_ns)) {
		c->rx_kept = true;
		return RX_LARGE;
	}
	rx_return(c);
	return CONN_RX_SMALL;
}

/* It has a turn when those that are in the queue had theirs. */
static void turn_queue(struct conn *c, bool advances)
{
	c->advances |= advances;
	if (!c->queued)
		TAILQ_INSERT_TAIL(&c->all->turns, c, turn_link);
	c->queued = true;
}

static void turn_leave(struct conn *c)
{
	if (c->queued)
		TAILQ_REMOVE(&c->all->turns, c, turn_link);
	c->queued = false;
}

static void replies_destroy(struct conn *c, struct reply_queue *q)
{
	struct reply *r;

	while ((r = STAILQ_FIRST(q))) {
		STAILQ_REMOVE_HEAD(q, link);
		reply_destroy(c->all->node, &c->session.share, r);
	}
}

static void waiting_end(struct conn *c)
{
	if (c->waiting)
		TAILQ_REMOVE(&c->all->waiting, c, waiting_link);
	c->waiting = false;
}

static void conn_destroy(struct conn *c)
{
	struct conns *s = c->all;

	waiting_end(c);
	turn_leave(c);
	s->replies -= c->tx_replies + c->held_count;
	replies_destroy(c, &c->out);
	replies_destroy(c, &c->urgent);
	replies_destroy(c, &c->bulk);
	replies_destroy(c, &c->held);
	if (c->held_count)
		TAILQ_REMOVE(&s->held_list, c, held_link);
	c->rx_len = 0;
	rx_return(c);
	secure_destroy(&s->secure_bufs, c->secure);
	s->released = true;
	session_deinit(s->node, &c->session);
	close(c->fd);
	assert(s->count && s->closing);
	TAILQ_REMOVE(&s->all, c, link);
	s->count--;
	s->closing--;
	free(c);
}

static void unready_end(struct conn *c)
{
	if (!c->unready)
		return;
	assert(c->all->unready);
	TAILQ_REMOVE(&c->all->unready_list, c, unready_link);
	c->all->unready--;
	c->unready = false;
}

/* Ends the connection: at once, or when its operations under way have ended. */
static void conn_close(struct conn *c)
{
	if (!c->closing) {
		shutdown(c->fd, SHUT_RDWR);
		c->all->closing++;
	}
	c->closing = true;
	turn_leave(c);
	unready_end(c);
	if (!c->receiving && !c->sending)
		conn_destroy(c);
}

static void conn_close_bad(struct conn *c)
{
	c->all->node->counters.bad_frames++;
	log_peer("%s: closed: %s", peer_name(c), c->session.why);
	conn_close(c);
}

/* `whole`: the rest of a frame, so that fewer bytes need not complete the receive. */
static void receive_start(struct conn *c, uint32_t up_to, bool whole)
{
	int flags = whole ? MSG_WAITALL : 0;

	/* While the node finishes, only bytes that have arrived already are received. */
	if (c->all->finishing && !c->lingering)
		flags = MSG_DONTWAIT;
	assert(!c->receiving && c->rx_len < up_to &&
	       up_to <= (c->rx == c->small ? CONN_RX_SMALL : RX_LARGE));
	c->receiving = true;
	if (c->secure) {
		size_t room;
		uint8_t *at;

		secure_in_size(&c->all->secure_bufs, c->secure, up_to > CONN_RX_SMALL);
		at = tls_in_room(&c->secure->tls, &room);
		io_recv(c->all->io, c->fd, at, room, flags & ~MSG_WAITALL, c);
		return;
	}
	io_recv(c->all->io, c->fd, c->rx + c->rx_len, up_to - c->rx_len, flags, c);
}

/* Ciphertext that waits to be sent. */
static size_t cipher_left(const struct conn *c)
{
	return c->secure ? tls_out_bytes(&c->secure->tls) : 0;
}

static bool tx_pending(const struct conn *c)
{
	return c->tx_replies || cipher_left(c);
}

/* The answers that go next, as vectors. `apart`: one that a client waits for takes no bulk with it. */
static unsigned answers_gather(struct conn *c, struct iovec *iov, unsigned iovs_max, uint32_t bytes_max,
			       bool apart)
{
	uint32_t bytes = 0, skip = c->out_done;
	unsigned iovs = 0;
	struct reply *r = STAILQ_FIRST(&c->out);
	bool urgent = false;

	while (bytes < bytes_max && iovs < iovs_max) {
		struct reply_queue *q = NULL;

		if (!r) {
			q = STAILQ_EMPTY(&c->urgent) ? &c->bulk : &c->urgent;
			r = STAILQ_FIRST(q);
		}
		if (!r || (apart && urgent && r->bulk))
			break;
		if (q) {
			STAILQ_REMOVE_HEAD(q, link);
			STAILQ_INSERT_TAIL(&c->out, r, link);
		}
		urgent |= !r->bulk;
		for (unsigned i = 0; i < r->iovs && iovs < iovs_max; i++) {
			size_t len = r->iov[i].iov_len;

			if (skip >= len) {
				skip -= (uint32_t)len;
				continue;
			}
			iov[iovs++] = (struct iovec){(uint8_t *)r->iov[i].iov_base + skip, len - skip};
			bytes += (uint32_t)len - skip;
			skip = 0;
		}
		r = STAILQ_NEXT(r, link);
	}
	return iovs;
}

/* So many bytes of answers are sent, or encrypted: they are needed no longer. */
static void answers_took(struct conn *c, uint32_t bytes)
{
	struct reply *r;

	c->out_done += bytes;
	while ((r = STAILQ_FIRST(&c->out)) && c->out_done >= r->bytes) {
		assert(c->tx_replies && c->tx_bytes >= r->bytes);
		STAILQ_REMOVE_HEAD(&c->out, link);
		c->out_done -= r->bytes;
		c->tx_bytes -= r->bytes;
		c->tx_replies--;
		c->all->replies--;
		if (r->holds.pin_bytes || r->holds.copy_bytes)
			c->all->released = true;
		reply_destroy(c->all->node, &c->session.share, r);
	}
}

static void answers_encrypt(struct conn *c)
{
	struct tls *t = &c->secure->tls;
	struct iovec iov[SECURE_IOVS];
	unsigned iovs;
	ssize_t took;

	secure_out_size(&c->all->secure_bufs, c->secure, c->tx_bytes - c->out_done > TLS_BUF_MIN / 2);
	iovs = answers_gather(c, iov, SECURE_IOVS, (uint32_t)t->out.room, true);
	took = tls_writev(t, iov, iovs);
	if (took < 0) {
		log_peer("%s: closed: %s", peer_name(c), t->why);
		shutdown(c->fd, SHUT_RDWR); /* its operations end, or its time is up */
		return;
	}
	answers_took(c, (uint32_t)took);
}

static void send_start(struct conn *c)
{
	struct iovec *iov;
	unsigned iovs = 1;

	if (c->sending || c->closing || !tx_pending(c))
		return;
	if (c->secure && !cipher_left(c))
		answers_encrypt(c);
	if (c->secure && !cipher_left(c))
		return;
	iov = io_send_room(c->all->io);
	if (c->secure)
		*iov = (struct iovec){c->secure->tls.out.buf + c->secure->tls.out.start, cipher_left(c)};
	else
		iovs = answers_gather(c, iov, IO_IOVS_ONE,
				      TAILQ_EMPTY(&c->all->turns) ? SEND_BYTES_MAX : SEND_BYTES_TURN, false);
	c->sending = true;
	io_send(c->all->io, c->fd, iov, iovs, c);
}

static void reply_go(struct conn *c, struct reply *r)
{
	if (r->bulk)
		STAILQ_INSERT_TAIL(&c->bulk, r, link);
	else
		STAILQ_INSERT_TAIL(&c->urgent, r, link);
	if (!tx_pending(c))
		c->tx_ns = gvm_now_ns();
	c->tx_bytes += r->bytes;
	c->tx_replies++;
}

static void reply_queue(struct conn *c, struct reply *r)
{
	c->all->replies++;
	if (!r->number || r->number <= journal_written(c->all->node->journal)) {
		reply_go(c, r);
		return;
	}
	STAILQ_INSERT_TAIL(&c->held, r, link);
	if (!c->held_count++)
		TAILQ_INSERT_TAIL(&c->all->held_list, c, held_link);
}

/* Sends what may be sent. False: no memory for a refusal. */
static bool held_go(struct conn *c)
{
	const struct journal *j = c->all->node->journal;
	struct reply *r, *refusal;

	while ((r = STAILQ_FIRST(&c->held)) && (j->progress.error || r->number <= journal_written(j))) {
		STAILQ_REMOVE_HEAD(&c->held, link);
		c->held_count--;
		if (r->keeps && r->number > journal_written(j)) {
			int err = frame_refuse(c->all->node, &c->session, r, &refusal);

			reply_destroy(c->all->node, &c->session.share, r);
			if (err) {
				c->all->replies--;
				return false;
			}
			r = refusal;
		}
		reply_go(c, r);
	}
	return true;
}

/*
 * What a connection needs next: bytes; a buffer or share; its peer to take answers; another turn; to be closed.
 */
enum want { WANT_BYTES, WANT_SHARE, WANT_TX, WANT_TURN, WANT_END };

/* Whether it has as many answers queued as it may. */
static bool replies_are_many(const struct conn *c)
{
	unsigned replies = c->tx_replies + c->held_count;

	return c->tx_bytes >= TX_BYTES_MAX || replies >= TX_REPLIES_MAX ||
	       (replies >= REPLIES_FEW && c->all->replies >= REPLIES_ALL_MAX);
}

/*
 * Answers the whole frames in the buffer; *next: bytes of the one that is not whole yet, if known.
 */
static enum want frames_take(struct conn *c, uint32_t *next)
{
	uint32_t at = 0, total;
	unsigned taken = 0;
	enum want want = WANT_BYTES;

	*next = 0;
	while (c->rx_len - at >= GVM_HDR_BYTES) {
		struct frame f = {.meta = c->rx + at + GVM_HDR_BYTES};
		struct reply *reply;
		int err;

		if (replies_are_many(c)) {
			want = WANT_TX;
			break;
		}
		if (frame_head_check(&c->session, c->rx + at, &f.hdr)) {
			want = WANT_END;
			break;
		}
		total = GVM_HDR_BYTES + f.hdr.meta_len + f.hdr.data_len;
		if (c->rx_len - at < total) {
			*next = total;
			break;
		}
		if (taken++ == TURN_FRAMES) {
			want = WANT_TURN;
			break;
		}
		f.data = f.meta + f.hdr.meta_len;
		err = frame_answer(c->all->node, &c->session, &f, c->rx + at, &reply);
		if (err) {
			want = err == -EAGAIN ? WANT_SHARE : WANT_END;
			if (err == -ENOMEM)
				snprintf(c->session.why, sizeof(c->session.why), "out of memory");
			break;
		}
		if (c->session.state == SESSION_READY)
			unready_end(c);
		reply_queue(c, reply);
		at += total;
		if (c->session.state == SESSION_OVER) {
			log_peer("%s: refused: %s", peer_name(c), c->session.why);
			break;
		}
	}
	c->rx_len -= at;
	if (at && c->rx_len)
		memmove(c->rx, c->rx + at, c->rx_len);
	return want;
}

static void waiting_begin(struct conn *c)
{
	if (!c->waiting)
		TAILQ_INSERT_TAIL(&c->all->waiting, c, waiting_link);
	c->waiting = true;
}

/* All answers are sent. The peer may still be sending: closing now could reset the connection and
 * lose answers, so wait for the peer to close. */
static void conn_linger(struct conn *c)
{
	if (c->secure) {
		tls_close(&c->secure->tls);
		if (cipher_left(c)) {
			send_start(c);
			return;
		}
		c->secure->tls.in.start = c->secure->tls.in.end = 0;
	}
	c->lingering = true;
	shutdown(c->fd, SHUT_WR);
	c->rx_len = 0;
	rx_return(c);
	if (!c->receiving)
		receive_start(c, CONN_RX_SMALL, false);
}

/* The handshake of TLS failed: the alert goes before the end. */
static void secure_refuse(struct conn *c)
{
	const struct tls *t = &c->secure->tls;

	c->all->node->counters.bad_frames += !t->key_refused;
	log_peer("%s: refused: %s", peer_name(c), t->why);
	c->session.state = SESSION_OVER;
}

/*
 * Goes on with the handshake, or puts plaintext into the buffer up to `up_to`: 1: done; 0: more bytes are
 * needed; -EBADMSG and session.why.
 */
static int secure_take(struct conn *c, uint32_t up_to)
{
	struct tls *t = &c->secure->tls;
	ssize_t n;

	if (!t->up) {
		int err = tls_handshake(t);

		if (err == -EAGAIN)
			return 0;
		if (!err)
			err = tls_binding(t, &c->session.binding);
		if (err) {
			secure_refuse(c);
			return 1;
		}
		c->session.tls = true;
	}
	n = tls_read(t, c->rx + c->rx_len, up_to - c->rx_len);
	if (n == -EAGAIN)
		return 0;
	if (n < 0) {
		snprintf(c->session.why, sizeof(c->session.why), "%s", t->why);
		return -EBADMSG;
	}
	c->rx_len += (uint32_t)n;
	c->eof = n == 0;
	return 1;
}

/* The client's first bytes: whether they are as this node demands. False: the connection is over. */
static bool secure_begin(struct conn *c)
{
	if (!tls_is_hello(c->rx, c->rx_len)) {
		c->session.tls_missing = true;
		return true;
	}
	c->secure = secure_create(c->all->node->tls, c->rx, c->rx_len);
	if (!c->secure) {
		snprintf(c->session.why, sizeof(c->session.why), "out of memory");
		conn_close_bad(c);
		return false;
	}
	c->rx_len = 0;
	return true;
}

/* A TLS client at a node that uses none is told so in its own terms. False: it is not one. */
static bool tls_refuse(struct conn *c)
{
	struct reply *r;

	if (c->all->node->tls || c->session.state != SESSION_NEW || !tls_is_hello(c->rx, c->rx_len) ||
	    reply_create_bytes(TLS_ALERT_NO_TLS, TLS_ALERT_BYTES, &r))
		return false;
	log_peer("%s: refused: the client uses TLS, which this node does not (--tls)", peer_name(c));
	c->session.state = SESSION_OVER;
	reply_queue(c, r);
	send_start(c);
	return true;
}

/* Takes frames for as long as there are bytes; *up_to: the room for more, if they are what is wanted. */
static enum want bytes_take(struct conn *c, uint32_t *up_to)
{
	unsigned records = 0;
	enum want want;
	int got;

	do {
		uint32_t next = 0;

		*up_to = 0;
		want = c->session.state == SESSION_OVER ? WANT_BYTES : frames_take(c, &next);
		if (want != WANT_BYTES || c->session.state == SESSION_OVER || c->eof)
			return want;
		*up_to = rx_room(c, next);
		c->rx_whole = next > CONN_RX_SMALL;
		if (!*up_to)
			return WANT_SHARE;
		got = c->secure ? secure_take(c, *up_to) : 0;
	} while (got > 0 && ++records < TURN_RECORDS);
	return got < 0 ? WANT_END : got ? WANT_TURN : WANT_BYTES;
}

/* Advances as far as possible. May destroy the connection. */
static void conn_advance(struct conn *c)
{
	uint32_t up_to;
	enum want want;

	if (c->closing || c->lingering || c->receiving)
		return;
	c->advances = false;
	want = bytes_take(c, &up_to);
	if (want == WANT_END) {
		if (!tls_refuse(c))
			conn_close_bad(c);
		return;
	}
	c->paused = want == WANT_TX;
	if (c->session.state == SESSION_OVER) {
		if (tx_pending(c))
			send_start(c);
		else
			conn_linger(c);
		return;
	}
	if (want == WANT_BYTES && c->eof) {
		if (c->rx_len && !c->all->finishing) {
			snprintf(c->session.why, sizeof(c->session.why),
				 "ended in the middle of a frame");
			conn_close_bad(c);
			return;
		}
		if (!tx_pending(c) && !c->held_count && c->all->finishing && !c->unready) {
			conn_linger(c);
			return;
		}
		if (!tx_pending(c) && !c->held_count) {
			conn_close(c);
			return;
		}
	} else if (want == WANT_BYTES) {
		receive_start(c, up_to, c->rx_whole);
	}
	if (want == WANT_SHARE)
		waiting_begin(c);
	if (want == WANT_TURN)
		turn_queue(c, true);
	send_start(c);
}

/* The peer's stream ended. Over TLS that is an end only if the peer said so; else it was cut off. */
static bool stream_end(struct conn *c)
{
	if (!c->secure || c->all->finishing) {
		c->eof = true;
		return true;
	}
	log_peer("%s: closed: TLS: the stream was cut off", peer_name(c));
	conn_close(c);
	return false;
}

/* Whether it may be advanced out of turn. */
static bool conn_is_light(const struct conn *c)
{
	size_t bytes = c->rx_len;

	if (c->secure)
		bytes += c->secure->tls.in.end - c->secure->tls.in.start;
	/* (A handshake costs what many requests do.) */
	return !c->queued && !tx_pending(c) && !c->held_count && bytes <= LIGHT_BYTES &&
	       (!c->secure || c->secure->tls.up);
}

static void conn_due(struct conn *c)
{
	if (conn_is_light(c))
		conn_advance(c);
	else
		turn_queue(c, true);
}

bool conns_turns(struct conns *s)
{
	struct conn *c;

	for (unsigned i = 0; i < TURNS && (c = TAILQ_FIRST(&s->turns)); i++) {
		turn_leave(c);
		if (c->advances && !c->receiving)
			conn_advance(c); /* sends, too; it may be the end of it */
		else
			send_start(c);
	}
	return !TAILQ_EMPTY(&s->turns);
}

void conn_received(struct conn *c, int result)
{
	c->receiving = false;
	if (c->closing) {
		conn_close(c);
		return;
	}
	if (result > 0) {
		c->rx_ns = gvm_now_ns();
		c->all->node->counters.rx_bytes += (unsigned)result;
		if (c->lingering) {
			receive_start(c, CONN_RX_SMALL, false);
			return;
		}
		if (c->secure)
			tls_in_add(&c->secure->tls, (size_t)result);
		else
			c->rx_len += (uint32_t)result;
		if (c->all->node->tls && !c->secure && !c->session.tls_missing && !secure_begin(c))
			return;
	} else if (!c->lingering && result == 0) {
		if (!stream_end(c))
			return;
	} else if (!c->lingering && result == -EAGAIN && c->all->finishing) {
		c->eof = true;
	} else if (result != -EINTR && result != -EAGAIN && result != -ECANCELED) {
		conn_close(c);
		return;
	} else if (c->lingering) {
		receive_start(c, CONN_RX_SMALL, false);
		return;
	}
	conn_due(c);
}

void conn_sent(struct conn *c, int result)
{
	c->sending = false;
	if (c->closing || (result < 0 && result != -EINTR && result != -EAGAIN)) {
		conn_close(c);
		return;
	}
	if (result > 0) {
		c->all->node->counters.tx_bytes += (unsigned)result;
		c->tx_ns = gvm_now_ns();
		if (c->secure)
			tls_out_sent(&c->secure->tls, (size_t)result);
		else
			answers_took(c, (uint32_t)result);
	}
	if (c->secure && !tx_pending(c))
		secure_out_size(&c->all->secure_bufs, c->secure, false);
	if (!tx_pending(c) && !c->held_count)
		conn_due(c);
	else
		turn_queue(c, (c->paused && c->tx_bytes < TX_BYTES_MAX / 2 && c->tx_replies < TX_REPLIES_MAX / 2) ||
				      !c->tx_replies);
}

void conns_make_room(struct conns *s)
{
	struct conn *oldest = TAILQ_FIRST(&s->unready_list);

	if (!oldest)
		return;
	log_peer("%s: closed: a newer connection needs its place: %u are open, %u of them not past "
		 "HELLO and AUTH",
		 peer_name(oldest), s->count, s->unready);
	conn_close(oldest);
}

void conn_accept(struct conns *s, int fd, const union conn_addr *peer)
{
	struct conn *c = NULL;

	unsigned unready_max = (s->count_max + 1) / 2; /* the others are reserved for authenticated peers */

	if (s->node->tls && unready_max > SECURE_UNREADY_MAX)
		unready_max = SECURE_UNREADY_MAX;
	if (s->count >= s->count_max || s->unready >= unready_max)
		conns_make_room(s);
	/* A closing connection counts until the engine's operations on it have ended. */
	if (s->count < s->count_max + CLOSING_MAX && s->count - s->closing < s->count_max)
		c = malloc(sizeof(*c));
	if (!c) {
		log_peer("a connection was turned away: %u are open, %u of them not past HELLO and AUTH",
			 s->count, s->unready);
		close(fd);
		return;
	}
	memset(c, 0, offsetof(struct conn, small));
	c->all = s;
	c->fd = fd;
	c->peer = *peer;
	c->rx = c->small;
	STAILQ_INIT(&c->out);
	STAILQ_INIT(&c->urgent);
	STAILQ_INIT(&c->bulk);
	STAILQ_INIT(&c->held);
	c->born_ns = c->rx_ns = c->tx_ns = gvm_now_ns();
	session_init(&c->session);
	TAILQ_INSERT_TAIL(&s->all, c, link);
	s->count++;
	TAILQ_INSERT_TAIL(&s->unready_list, c, unready_link);
	c->unready = true;
	s->unready++;
	conn_advance(c);
}

void conns_resume(struct conns *s)
{
	struct conn *c;

	if (!s->released || TAILQ_EMPTY(&s->waiting))
		return;
	s->released = false;
	/* In its turn each advances, or joins the end of the queue again. */
	while ((c = TAILQ_FIRST(&s->waiting))) {
		waiting_end(c);
		turn_queue(c, true);
	}
}

void conns_progress(struct conns *s)
{
	struct conn *c, *next;

	s->released = true;
	for (c = TAILQ_FIRST(&s->held_list); c; c = next) {
		bool goes = !c->closing && held_go(c);

		next = TAILQ_NEXT(c, held_link);
		if (!c->held_count)
			TAILQ_REMOVE(&s->held_list, c, held_link);
		if (goes)
			send_start(c);
		else if (!c->closing)
			conn_close(c);
	}
}

/* Why the connection is to be closed at this time; NULL: it is not. */
static const char *conn_overdue(const struct conn *c, uint64_t now)
{
	uint64_t stall = TAILQ_EMPTY(&c->all->waiting) ? STALL_NS : STALL_PRESSED_NS;

	if (c->session.state != SESSION_READY && now - c->born_ns > HANDSHAKE_NS)
		return "did not finish HELLO and AUTH in time";
	if (tx_pending(c) && now - c->tx_ns > stall)
		return "takes no answers";
	if ((c->rx_len || (c->secure && tls_has_input(&c->secure->tls))) && c->receiving && now - c->rx_ns > stall)
		return "stopped in the middle of a frame";
	return NULL;
}

void conns_tick(struct conns *s, uint64_t now_ns)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&s->all); c; c = next) {
		const char *why = c->closing ? NULL : conn_overdue(c, now_ns);

		next = TAILQ_NEXT(c, link);
		if (!why) {
			/* Restarts its receive, in the small buffer. */
			if (c->rx_kept && c->receiving && !c->closing && !rx_keep(c, now_ns))
				io_cancel_recv(s->io, c->fd, c);
			continue;
		}
		/* A lingering one was told, and is in the log already. */
		if (!c->lingering)
			log_peer("%s: closed: %s", peer_name(c), why);
		conn_close(c);
	}
}

void conns_finish(struct conns *s)
{
	struct conn *c;

	s->finishing = true;
	/* Those that wait for bytes begin anew, and take only what has arrived. */
	TAILQ_FOREACH (c, &s->all, link)
		if (c->receiving && !c->closing && !c->lingering)
			io_cancel_recv(s->io, c->fd, c);
}

void conns_close_lingering(struct conns *s)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&s->all); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->lingering)
			conn_close(c);
	}
}

void conns_close(struct conns *s)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&s->all); c; c = next) {
		next = TAILQ_NEXT(c, link);
		conn_close(c);
	}
}
