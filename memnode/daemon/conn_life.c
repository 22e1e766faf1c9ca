// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conn_life.c - the life of a connection, from accept to close.
 *
 * Everything here runs to completion on one thread: a completion of the engine calls
 * conn_received() or conn_sent(), which advance the connection as far as possible and start its
 * next receive and send. A connection is freed only when neither is under way, since the kernel
 * holds pointers into its buffers and answers until then.
 *
 * So that nobody's flood delays another's fault: a connection with little to do (no answers queued, a request or two
 * in the buffer) is advanced as soon as its completion comes. Any other has a turn when it comes to it: they stand in
 * a queue, a turn takes a few requests and sends a bounded number of bytes, and after some turns completions are
 * looked at again. A connection that is alone has all turns. Strangers stand in a queue of their own, in which each step
 * of a TLS handshake is a turn; between two looks at completions they have a moment together.
 */
#include "conn_impl.h"
#include "../clock.h"
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN_FRAMES  8u	   /* requests that are taken in a turn */
#define TURN_RECORDS 8u	   /* records, or parts of them, that are decrypted in a turn */
#define LIGHT_BYTES  1024u /* received at a time by a connection with little to do */

void conn_turn_queue(struct conn *c, bool advances)
{
	c->advances |= advances;
	if (!c->queued)
		TAILQ_INSERT_TAIL(c->strangers ? &c->all->turns_strangers : &c->all->turns, c, turn_link);
	c->queued = true;
}

void conn_turn_leave(struct conn *c)
{
	if (c->queued)
		TAILQ_REMOVE(c->strangers ? &c->all->turns_strangers : &c->all->turns, c, turn_link);
	c->queued = false;
}

static void waiting_begin(struct conn *c)
{
	if (!c->waiting)
		TAILQ_INSERT_TAIL(&c->all->waiting, c, waiting_link);
	c->waiting = true;
}

void conn_waiting_end(struct conn *c)
{
	if (c->waiting)
		TAILQ_REMOVE(&c->all->waiting, c, waiting_link);
	c->waiting = false;
}

static void conn_destroy(struct conn *c)
{
	struct conns *s = c->all;

	conn_waiting_end(c);
	conn_turn_leave(c);
	conn_replies_destroy(c);
	c->rx_len = 0;
	conn_rx_return(c);
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

void conn_close(struct conn *c)
{
	if (!c->closing) {
		shutdown(c->fd, SHUT_RDWR);
		c->all->closing++;
	}
	c->closing = true;
	conn_turn_leave(c);
	conn_strangers_join(c, NULL);
	if (!c->receiving && !c->sending)
		conn_destroy(c);
}

static void conn_close_bad(struct conn *c)
{
	c->all->node->counters.bad_frames++;
	log_peer("%s: closed: %s", conn_addr_name(&c->peer), c->session.why);
	conn_close(c);
}

/*
 * What a connection needs next: bytes; a buffer or share; its peer to take answers; another turn; to be closed.
 */
enum want { WANT_BYTES, WANT_SHARE, WANT_TX, WANT_TURN, WANT_END };

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

		if (conn_replies_are_many(c)) {
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
			conn_strangers_join(c, NULL);
		conn_reply(c, reply);
		at += total;
		if (c->session.state == SESSION_OVER) {
			log_peer("%s: refused: %s", conn_addr_name(&c->peer), c->session.why);
			break;
		}
	}
	c->rx_len -= at;
	if (at && c->rx_len)
		memmove(c->rx, c->rx + at, c->rx_len);
	return want;
}

/* All answers are sent. The peer may still be sending: closing now could reset the connection and
 * lose answers, so wait for the peer to close. */
static void conn_linger(struct conn *c)
{
	if (c->secure) {
		tls_close(&c->secure->tls);
		if (conn_cipher_left(c)) {
			conn_send(c);
			return;
		}
		c->secure->tls.in.start = c->secure->tls.in.end = 0;
	}
	c->lingering = true;
	shutdown(c->fd, SHUT_WR);
	c->rx_len = 0;
	conn_rx_return(c);
	if (!c->receiving)
		conn_receive(c, CONN_RX_SMALL, false);
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
		*up_to = conn_rx_room(c, next);
		c->rx_whole = next > CONN_RX_SMALL;
		if (!*up_to)
			return WANT_SHARE;
		got = c->secure ? conn_tls_take(c, *up_to) : 0;
	} while (got > 0 && ++records < TURN_RECORDS);
	return got < 0 ? WANT_END : got ? WANT_TURN : WANT_BYTES;
}

void conn_advance(struct conn *c)
{
	uint32_t up_to;
	enum want want;

	if (c->closing || c->lingering || c->receiving)
		return;
	c->advances = false;
	if (!c->secure && conn_shakes(c) && c->rx_len && conn_tls_begin(c)) {
		conn_close_bad(c);
		return;
	}
	want = bytes_take(c, &up_to);
	if (want == WANT_END) {
		if (!conn_tls_refuse(c))
			conn_close_bad(c);
		return;
	}
	c->paused = want == WANT_TX;
	if (c->session.state == SESSION_OVER) {
		if (conn_tx_pending(c))
			conn_send(c);
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
		if (!conn_tx_pending(c) && !c->held_count && c->all->finishing && !c->strangers) {
			conn_linger(c);
			return;
		}
		if (!conn_tx_pending(c) && !c->held_count) {
			conn_close(c);
			return;
		}
	} else if (want == WANT_BYTES) {
		conn_receive(c, up_to, c->rx_whole);
	}
	if (want == WANT_SHARE)
		waiting_begin(c);
	if (want == WANT_TURN)
		conn_turn_queue(c, true);
	conn_send(c);
}

/* The peer's stream ended. Over TLS that is an end only if the peer said so; else it was cut off. */
static bool stream_end(struct conn *c)
{
	if (!c->secure || c->all->finishing) {
		c->eof = true;
		return true;
	}
	log_peer("%s: closed: %s", conn_addr_name(&c->peer),
		 c->secure->tls.failed ? c->secure->tls.why : "TLS: the stream was cut off");
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
	return !c->queued && !conn_tx_pending(c) && !c->held_count && bytes <= LIGHT_BYTES && !conn_shakes(c);
}

static void conn_due(struct conn *c)
{
	if (conn_is_light(c))
		conn_advance(c);
	else
		conn_turn_queue(c, true);
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
			conn_receive(c, CONN_RX_SMALL, false);
			return;
		}
		if (c->secure)
			tls_in_add(&c->secure->tls, (size_t)result);
		else
			c->rx_len += (uint32_t)result;
	} else if (!c->lingering && result == 0) {
		if (!stream_end(c))
			return;
	} else if (!c->lingering && result == -EAGAIN && c->all->finishing) {
		c->eof = true;
	} else if (result != -EINTR && result != -EAGAIN && result != -ECANCELED) {
		conn_close(c);
		return;
	} else if (c->lingering) {
		conn_receive(c, CONN_RX_SMALL, false);
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
			conn_answers_took(c, (uint32_t)result);
	}
	if (c->secure && !conn_tx_pending(c))
		secure_out_size(&c->all->secure_bufs, c->secure, false);
	if (!conn_tx_pending(c) && !c->held_count)
		conn_due(c);
	else
		conn_turn_queue(c, (c->paused && c->tx_bytes < TX_BYTES_MAX / 2 && c->tx_replies < TX_REPLIES_MAX / 2) ||
				      !c->tx_replies);
}
