// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A carrier's work: it gathers other nodes' BEATs for a home, and sends them as one message. See
 * pairs.h.
 */
#include "impl.h"

#define HOMES_MAX 64u /* homes to which a node carries at the same time */

static struct ivy_carried *carried_make(struct ivy_pairs *ps, u16 home)
{
	struct ivy_carried *c = ps->carried;
	u64 now = ps->env->now(ps->ctx);

	while (c && (c->n || c->sent + ps->p.lease_ns > now))
		c = c->next;
	if (!c && ps->ncarried < HOMES_MAX) {
		c = ps->env->alloc(ps->ctx, sizeof(*c));
		if (!c)
			return NULL;
		c->next = ps->carried;
		ps->carried = c;
		ps->ncarried++;
	}
	if (c) {
		c->home = home;
		c->at = IVY_NEVER;
		c->sent = 0;
	}
	return c;
}

static void send(struct ivy_pairs *ps, struct ivy_carried *c)
{
	struct ivy_msg m = {
		.type = IVY_BEAT, .src = ps->p.id, .to = c->home, .count = c->n, .list = c->list};

	ps->env->send(ps->ctx, c->home, &m);
	c->sent = ps->env->now(ps->ctx);
	c->at = IVY_NEVER;
	c->n = 0;
}

/* Where a node's BEAT goes in the list: into the place of its last one, or behind all others. */
static u16 place_of(const struct ivy_carried *c, u16 node)
{
	const struct ivy_msg m = {.list = c->list};
	u16 i = 0;

	while (i < c->n && ivy_list_beat(&m, i).node != node)
		i++;
	return i;
}

void ivy_carry_add(struct ivy_pairs *ps, u16 home, const struct ivy_beat *beat)
{
	struct ivy_carried *c = ps->carried;
	u64 now = ps->env->now(ps->ctx);
	u16 i;

	while (c && c->home != home)
		c = c->next;
	if (!c)
		c = carried_make(ps, home);
	if (!c)
		return;
	i = place_of(c, beat->node);
	if (i == IVY_BEATS_MAX) {
		send(ps, c);
		i = 0;
	}
	if (!c->n) {
		c->at = c->sent + ps->p.lease_ns / 4;
		c->at = c->sent && c->at > now ? c->at : now;
	}
	c->n += i == c->n;
	ivy_list_put_beat(c->list, i, beat);
	ps->carry_at = ps->carry_at < c->at ? ps->carry_at : c->at;
}

void ivy_carry_tick(struct ivy_pairs *ps)
{
	struct ivy_carried *c;
	u64 now = ps->env->now(ps->ctx);

	if (now < ps->carry_at)
		return;
	ps->carry_at = IVY_NEVER;
	for (c = ps->carried; c; c = c->next) {
		if (c->at <= now)
			send(ps, c);
		ps->carry_at = ps->carry_at < c->at ? ps->carry_at : c->at;
	}
}

void ivy_carry_free(struct ivy_pairs *ps)
{
	struct ivy_carried *c;

	while ((c = ps->carried)) {
		ps->carried = c->next;
		ps->env->free(ps->ctx, c, sizeof(*c));
	}
}
