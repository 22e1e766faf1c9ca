// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A message on its way out.
 *
 * It is held back until the next one: if that says of the next page what this one says of its own,
 * both become one (`more`), as long as they are of one run. The receiver takes them apart again
 * (ivy.c), so nothing else in the core knows of it; and no message overtakes another.
 *
 * A message to this node itself goes into a ring, drained at the end of each call from outside, so
 * that no function is re-entered by its own messages. If the ring is full the message is dropped;
 * the protocol tolerates loss.
 */
#include "impl.h"

/* A number for each page: the one that the header has, or its list. */
static u64 number_of(const struct ivy_msg *m)
{
	return m->count ? ivy_list_who(m, 0) : m->who;
}

/* Nothing is gained for the others. */
static bool may_be_held(const struct ivy_msg *m)
{
	return m->type != IVY_INV && m->type != IVY_ACK && m->type > IVY_FENCED && m->count <= 1 &&
	       !(m->flags & IVY_F_PAGE);
}

static bool goes_on(const struct ivy *c, u16 dst, const struct ivy_msg *m)
{
	const struct ivy_msg *held = &c->held;
	u64 who = number_of(held), n = held->more + 1ull;

	return c->holds && dst == c->held_dst && m->type == held->type && m->flags == held->flags &&
	       m->count == held->count && m->page == held->page + n && m->page % IVY_RUN &&
	       (m->ver == held->ver || IVY_MUTANT(RUN_VERSIONS)) && m->inc == held->inc &&
	       number_of(m) == (who ? who + n : 0);
}

void ivy_send_held(struct ivy *c)
{
	if (!c->holds)
		return;
	c->holds = false;
	if (c->held_dst != c->p.id) {
		c->stats.sent++;
		c->env->send(c->ctx, c->held_dst, &c->held, NULL);
	} else if (c->ring_n < IVY_RING) {
		c->ring[(c->ring_at + c->ring_n++) % IVY_RING] = c->held;
	}
}

static void send_or_hold(struct ivy *c, u16 dst, const struct ivy_msg *m, const void *data)
{
	if (may_be_held(m) && goes_on(c, dst, m)) {
		c->held.more++;
		return;
	}
	ivy_send_held(c);
	if (!may_be_held(m) && dst != c->p.id) {
		c->stats.sent++;
		c->env->send(c->ctx, dst, m, data);
		return;
	}
	c->holds = true;
	c->held = *m;
	c->held_dst = dst;
	if (m->count) {
		ivy_list_put_who(c->held_list, 0, ivy_list_who(m, 0));
		c->held.list = c->held_list;
	}
}

void ivy_send(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data)
{
	/* A list is in c->scratch, reused before the ring is drained. */
	IVY_ASSERT(dst != c->p.id || !m->count);
	m->src = c->p.id;
	send_or_hold(c, dst, m, data);
}

/* The list is in c->scratch. */
void ivy_send_list(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data)
{
	m->src = c->p.id;
	m->list = c->scratch;
	send_or_hold(c, dst, m, data);
}
