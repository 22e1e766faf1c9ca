// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conn_tx.c - the answers of a connection, from the request that they answer to the socket.
 *
 * They wait in one of four queues: `held` until the journal has what they promise; `urgent` or
 * `bulk`; and `out`, in the order in which they go. Over TLS they end when they are encrypted, and
 * the ciphertext is what is sent.
 */
#include "conn_impl.h"
#include "../clock.h"

#include <assert.h>
#include <sys/socket.h>

#define SEND_BYTES_MAX	(512u << 10) /* of one send: bounds what an urgent answer waits for */
#define SEND_BYTES_TURN (128u << 10) /* the same while other connections wait for a turn */
#define REPLIES_ALL_MAX 131072u	     /* queued for all connections; above it each has few */
#define REPLIES_FEW	16u
#define SECURE_IOVS	256u /* of one buffer of ciphertext */

static void queue_empty(struct conn *c, struct reply_queue *q)
{
	struct reply *r;

	while ((r = STAILQ_FIRST(q))) {
		STAILQ_REMOVE_HEAD(q, link);
		reply_destroy(c->all->node, &c->session.share, r);
	}
}

void conn_replies_destroy(struct conn *c)
{
	c->all->replies -= c->tx_replies + c->held_count;
	queue_empty(c, &c->out);
	queue_empty(c, &c->urgent);
	queue_empty(c, &c->bulk);
	queue_empty(c, &c->held);
	if (c->held_count)
		TAILQ_REMOVE(&c->all->held_list, c, held_link);
}

/* The answers that go next, as vectors. `apart`: one that a client waits for takes no bulk with it, nor another that begins
 * with what is awaited. */
static unsigned answers_gather(struct conn *c, struct iovec *iov, unsigned iovs_max,
			       uint32_t bytes_max, bool apart)
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
		if (!r || (apart && urgent && (r->bulk || r->awaited_bytes)))
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

void conn_answers_took(struct conn *c, uint32_t bytes)
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

/* Leaves the first `bytes_max` bytes of them. */
static unsigned iovs_cut(struct iovec *iov, unsigned iovs, size_t bytes_max, size_t *bytes)
{
	unsigned n = 0;

	for (*bytes = 0; n < iovs && *bytes < bytes_max; n++) {
		if (iov[n].iov_len > bytes_max - *bytes)
			iov[n].iov_len = bytes_max - *bytes;
		*bytes += iov[n].iov_len;
	}
	return n;
}

/* A page that is awaited has a record of its own: a client can open none before all of it is there. */
static void answers_encrypt(struct conn *c)
{
	struct tls *t = &c->secure->tls;
	struct iovec iov[SECURE_IOVS];
	size_t bytes;
	ssize_t took;

	secure_out_size(&c->all->secure_bufs, c->secure,
			c->tx_bytes - c->out_done > TLS_BUF_MIN / 2);
	do {
		unsigned iovs = answers_gather(c, iov, SECURE_IOVS, (uint32_t)t->out.room, true);
		uint32_t awaited = STAILQ_FIRST(&c->out)->awaited_bytes;

		iovs = iovs_cut(iov, iovs, awaited > c->out_done ? awaited - c->out_done : SIZE_MAX, &bytes);
		took = tls_writev(t, iov, iovs);
		if (took < 0) {
			shutdown(c->fd, SHUT_RDWR); /* its operations end, or its time is up */
			return;
		}
		conn_answers_took(c, (uint32_t)took);
	} while ((size_t)took == bytes && !(STAILQ_EMPTY(&c->out) && STAILQ_EMPTY(&c->urgent)));
}

void conn_send(struct conn *c)
{
	struct iovec *iov;
	unsigned iovs = 1;

	if (c->sending || c->closing || !conn_tx_pending(c))
		return;
	if (c->secure && !conn_cipher_left(c))
		answers_encrypt(c);
	if (c->secure && !conn_cipher_left(c))
		return;
	iov = io_send_room(c->all->io);
	if (c->secure)
		*iov = (struct iovec){c->secure->tls.out.buf + c->secure->tls.out.start,
				      conn_cipher_left(c)};
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
	if (!conn_tx_pending(c))
		c->tx_ns = gvm_now_ns();
	c->tx_bytes += r->bytes;
	c->tx_replies++;
}

void conn_reply(struct conn *c, struct reply *r)
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

bool conn_held_go(struct conn *c)
{
	const struct journal *j = c->all->node->journal;
	struct reply *r, *refusal;

	while ((r = STAILQ_FIRST(&c->held)) &&
	       (j->progress.error || r->number <= journal_written(j))) {
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

bool conn_replies_are_many(const struct conn *c)
{
	unsigned replies = c->tx_replies + c->held_count;

	return c->tx_bytes >= TX_BYTES_MAX || replies >= TX_REPLIES_MAX ||
	       (replies >= REPLIES_FEW && c->all->replies >= REPLIES_ALL_MAX);
}
