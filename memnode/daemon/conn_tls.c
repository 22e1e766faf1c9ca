// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conn_tls.c - how a connection begins TLS, or is refused for the want of it, and how ciphertext
 * becomes frames.
 */
#include "conn_impl.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>

/* The handshake of TLS failed: the alert goes before the end. */
static void handshake_refuse(struct conn *c)
{
	const struct tls *t = &c->secure->tls;

	c->all->node->counters.bad_frames += !t->key_refused;
	log_peer("%s: refused: %s", conn_addr_name(&c->peer), t->why);
	c->session.state = SESSION_OVER;
}

int conn_tls_take(struct conn *c, uint32_t up_to)
{
	struct tls *t = &c->secure->tls;
	ssize_t n;

	if (!t->up) {
		int err = tls_handshake(t);

		if (t->hello_taken && c->strangers)
			conn_strangers_join(c, &c->all->heard);
		if (err == -EAGAIN)
			return 0;
		if (!err)
			err = tls_binding(t, &c->session.binding);
		if (err) {
			handshake_refuse(c);
			return 1;
		}
		c->session.tls = true;
		conn_strangers_join(c, NULL);
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

int conn_tls_begin(struct conn *c)
{
	if (!tls_is_hello(c->rx, c->rx_len)) {
		c->session.tls_missing = true;
		return 0;
	}
	c->secure = secure_create(c->all->node->tls, c->rx, c->rx_len);
	if (!c->secure) {
		snprintf(c->session.why, sizeof(c->session.why), "out of memory");
		return -ENOMEM;
	}
	c->rx_len = 0;
	return 0;
}

bool conn_tls_refuse(struct conn *c)
{
	struct reply *r;

	if (c->all->node->tls || c->session.state != SESSION_NEW ||
	    !tls_is_hello(c->rx, c->rx_len) ||
	    reply_create_bytes(TLS_ALERT_NO_TLS, TLS_ALERT_BYTES, &r))
		return false;
	log_peer("%s: refused: the client uses TLS, which this node does not (--tls)",
		 conn_addr_name(&c->peer));
	c->session.state = SESSION_OVER;
	conn_reply(c, r);
	conn_send(c);
	return true;
}
