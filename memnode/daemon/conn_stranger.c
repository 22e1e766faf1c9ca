// SPDX-License-Identifier: GPL-2.0-or-later
/* conn_stranger.c - the connections whose peers have not proven that they hold the key. */
#include "conn_impl.h"

#include <assert.h>

void conn_strangers_join(struct conn *c, struct strangers *strangers)
{
	if (c->strangers == strangers)
		return;
	assert(!c->queued); /* in a queue of strangers, or of others */
	if (c->strangers) {
		assert(c->strangers->count);
		TAILQ_REMOVE(&c->strangers->list, c, stranger_link);
		c->strangers->count--;
	}
	c->strangers = strangers;
	if (strangers) {
		TAILQ_INSERT_TAIL(&strangers->list, c, stranger_link);
		strangers->count++;
	}
}

unsigned strangers_count(const struct conns *s)
{
	return s->unheard.count + s->heard.count;
}

/* Of the larger part, so that neither who says nothing nor who says another's hello leaves no place to the rest. */
struct conn *strangers_oldest(const struct conns *s)
{
	return TAILQ_FIRST(&(s->heard.count > s->unheard.count ? &s->heard : &s->unheard)->list);
}
