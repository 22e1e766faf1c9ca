// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conns.c - all connections together: how many there may be, which has its turn, and which is past
 * a deadline.
 */
#include "conn_impl.h"
#include "../clock.h"
#include "log.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDSHAKE_NS	 (5 * SECOND)
#define STALL_NS	 (30 * SECOND) /* without progress of a transfer: the connection is closed */
#define STALL_PRESSED_NS (5 * SECOND)  /* the same while others wait for its buffers or pins */
#define TURNS		 4u	       /* between two looks at completions; one, if it was long and there are some */
#define STRANGERS_NS	 50000u	       /* of strangers' turns, between two looks; the last may be a whole handshake */
#define CLOSING_MAX	 16u	       /* connections beyond the limit, while others end */

void conns_init(struct conns *s, struct io *io, struct node *node, unsigned count_max)
{
	*s = (struct conns){.io = io, .node = node, .count_max = count_max};
	TAILQ_INIT(&s->all);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->held_list);
	TAILQ_INIT(&s->turns);
	TAILQ_INIT(&s->turns_strangers);
	TAILQ_INIT(&s->unheard.list);
	TAILQ_INIT(&s->heard.list);
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

void conns_make_room(struct conns *s)
{
	struct conn *oldest = strangers_oldest(s);

	if (!oldest)
		return;
	log_peer("%s: closed: a newer connection needs its place: %u are open, %u of them have not proven that they "
		 "hold the key", conn_addr_name(&oldest->peer), s->count, strangers_count(s));
	conn_close(oldest);
}

void conn_accept(struct conns *s, int fd, const union conn_addr *peer)
{
	struct conn *c = NULL;

	unsigned strangers_max = (s->count_max + 1) / 2; /* the others are reserved for those who hold the key */

	if (s->node->tls && strangers_max > SECURE_STRANGERS_MAX)
		strangers_max = SECURE_STRANGERS_MAX;
	if (s->count >= s->count_max || strangers_count(s) >= strangers_max)
		conns_make_room(s);
	/* A closing connection counts until the engine's operations on it have ended. */
	if (s->count < s->count_max + CLOSING_MAX && s->count - s->closing < s->count_max)
		c = malloc(sizeof(*c));
	if (!c) {
		log_peer("a connection was turned away: %u are open, %u of them have not proven that they hold the key",
			 s->count, strangers_count(s));
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
	conn_strangers_join(c, &s->unheard);
	conn_advance(c);
}

static void turn_take(struct conn *c)
{
	conn_turn_leave(c);
	if (c->advances && !c->receiving)
		conn_advance(c); /* sends, too; it may be the end of it */
	else
		conn_send(c);
}

bool conns_have_turns(const struct conns *s)
{
	return !TAILQ_EMPTY(&s->turns) || !TAILQ_EMPTY(&s->turns_strangers);
}

/* A frame with a chunk takes as long as many without. */
static bool turn_is_long(const struct conn *c)
{
	return c->rx_len > CONN_RX_SMALL;
}

bool conns_turns(struct conns *s)
{
	struct conn *c;
	bool last = false;

	for (unsigned i = 0; i < TURNS && !last && (c = TAILQ_FIRST(&s->turns)); i++) {
		bool is_long = turn_is_long(c);

		turn_take(c);
		last = is_long && io_has_news(s->io);
	}
	if ((c = TAILQ_FIRST(&s->turns_strangers))) {
		uint64_t until = gvm_now_ns() + STRANGERS_NS;

		do
			turn_take(c);
		while ((c = TAILQ_FIRST(&s->turns_strangers)) && gvm_now_ns() < until);
	}
	return conns_have_turns(s);
}

void conns_resume(struct conns *s)
{
	struct conn *c;

	if (!s->released || TAILQ_EMPTY(&s->waiting))
		return;
	s->released = false;
	/* In its turn each advances, or joins the end of the queue again. */
	while ((c = TAILQ_FIRST(&s->waiting))) {
		conn_waiting_end(c);
		conn_turn_queue(c, true);
	}
}

void conns_progress(struct conns *s)
{
	struct conn *c, *next;

	s->released = true;
	for (c = TAILQ_FIRST(&s->held_list); c; c = next) {
		bool goes = !c->closing && conn_held_go(c);

		next = TAILQ_NEXT(c, held_link);
		if (!c->held_count)
			TAILQ_REMOVE(&s->held_list, c, held_link);
		if (goes)
			conn_send(c);
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
	if (conn_tx_pending(c) && now - c->tx_ns > stall)
		return "takes no answers";
	if ((c->rx_len || (c->secure && tls_has_input(&c->secure->tls))) && c->receiving &&
	    now - c->rx_ns > stall)
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
			if (c->rx_kept && c->receiving && !c->closing && !conn_rx_keep(c, now_ns))
				io_cancel_recv(s->io, c->fd, c);
			continue;
		}
		/* A lingering one was told, and is in the log already. */
		if (!c->lingering)
			log_peer("%s: closed: %s", conn_addr_name(&c->peer), why);
		conn_close(c);
	}
}

void conns_finish(struct conns *s)
{
	struct conn *c;

	s->finishing = true;
	/* Those that wait for bytes begin anew, and take only what has arrived. */
	TAILQ_FOREACH(c, &s->all, link)
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
