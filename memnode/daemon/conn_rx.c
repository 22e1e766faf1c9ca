// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conn_rx.c - what a connection receives into: its own small buffer, or a large one of those that
 * all share.
 */
#include "conn_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RX_LARGE	  (GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX + CONN_RX_SMALL)
#define RX_LARGE_MAX	  512u
#define RX_LARGE_FREE_MAX 16u
#define RX_KEEP_BUFS	  128u	       /* with more large buffers, none is kept between frames */
#define RX_KEEP_NS	  (SECOND / 2) /* one is kept this long after a large frame */

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

void conn_rx_return(struct conn *c)
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

bool conn_rx_keep(const struct conn *c, uint64_t now)
{
	return c->all->bufs <= RX_KEEP_BUFS && TAILQ_EMPTY(&c->all->waiting) &&
	       now - c->rx_large_ns < RX_KEEP_NS;
}

uint32_t conn_rx_room(struct conn *c, uint32_t total)
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
	if (conn_rx_keep(c, c->rx_ns)) {
		c->rx_kept = true;
		return RX_LARGE;
	}
	conn_rx_return(c);
	return CONN_RX_SMALL;
}

void conn_receive(struct conn *c, uint32_t up_to, bool whole)
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
