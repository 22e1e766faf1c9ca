// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Read requests, on their way to a page's home.
 *
 * In large clusters they go up a tree whose root is the home. Each node of it gathers requests that
 * arrive while it is busy in a batch for the page, and keeps nothing once the batch is passed on.
 * The home gathers in the same way, so that readers that arrive together are served together.
 */
#include "impl.h"

u16 ivy_relay_up(const struct ivy *c, u16 home)
{
	u32 n = c->p.relays, place;

	/* Those that are no relays ask the home, or those whose home is none. */
	if (n <= c->p.relay_above || home >= n || c->p.id >= n)
		return home;
	place = (c->p.id + n - home) % n;
	if (!place)
		return home;
	return (u16)((home + (place - 1) / c->p.fanout) % n);
}

void ivy_relay_ask(struct ivy *c, u16 dst, u64 page, u64 who, u8 flags)
{
	struct ivy_msg m = {.type = IVY_GETS, .flags = flags, .page = page, .count = 1};

	ivy_list_put_who(c->scratch, 0, who);
	ivy_send_list(c, dst, &m, NULL);
}

static struct ivy_batch *batch_of(struct ivy *c, u64 page)
{
	struct ivy_batch *b;

	for (b = c->batches; b; b = b->next)
		if (b->page == page)
			return b;
	b = ivy_alloc(c, sizeof(*b));
	if (!b)
		return NULL;
	b->page = page;
	b->next = c->batches;
	c->batches = b;
	return b;
}

void ivy_relay_send(struct ivy *c, const struct ivy_batch *b)
{
	struct ivy_msg m = {
		.type = IVY_GETS, .flags = b->flags, .page = b->page, .count = (u16)b->n};
	u32 i;

	for (i = 0; i < b->n; i++)
		ivy_list_put_who(c->scratch, i, b->who[i]);
	ivy_send_list(c, ivy_relay_up(c, ivy_home_of(c, b->page)), &m, NULL);
}

void ivy_relay_gather(struct ivy *c, const struct ivy_msg *m,
		      void (*pass)(struct ivy *c, const struct ivy_batch *b))
{
	struct ivy_batch *b = batch_of(c, m->page);
	u32 i;

	if (b)
		b->flags = b->n + m->count == 1 ? m->flags & IVY_F_FRESH : 0;
	for (i = 0; b && i < m->count; i++) {
		b->who[b->n++] = ivy_list_who(m, i);
		if (b->n == IVY_LIST_MAX) {
			pass(c, b);
			b->n = 0;
		}
	}
}

struct ivy_batch *ivy_relay_take(struct ivy *c)
{
	struct ivy_batch *b = c->batches;

	if (b)
		c->batches = b->next;
	return b;
}
