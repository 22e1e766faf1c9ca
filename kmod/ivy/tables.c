// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An instance's parameters, and the tables whose sizes follow from them.
 */
#include "impl.h"

bool ivy_params_ok(const struct ivy_params *p)
{
	return p->nodes && p->nodes <= IVY_NODES_MAX && p->id < p->nodes && p->nhomes &&
	       p->nhomes <= p->nodes && p->homes && p->pages && p->pages < 1ull << 52 && p->start &&
	       p->start < IVY_TXN_MAX && p->margin_ns <= p->lease_ns && p->relays <= p->nodes &&
	       p->fanout <= IVY_LIST_MAX && p->hold_ns < 1ull << 40 && p->hold_doublings <= 8 &&
	       p->hold_ns << p->hold_doublings < 1ull << 41;
}

void ivy_params_default(struct ivy_params *p)
{
	if (!p->lease_ns)
		p->lease_ns = 10ull * 1000 * 1000 * 1000;
	if (!p->margin_ns)
		p->margin_ns = p->lease_ns / 4;
	if (!p->retry_ns)
		p->retry_ns = 200ull * 1000 * 1000;
	if (!p->fanout)
		p->fanout = 22;
	if (!p->relay_above)
		p->relay_above = 128;
	if (!p->relays)
		p->relays = p->nodes;
}

/* Copies the homes; -EINVAL if one is no node, or is listed twice. */
static int homes_take(struct ivy *c, const u16 *homes)
{
	struct ivy_copyset seen = {0};
	int ret = 0;
	u32 i;

	c->home_index = c->p.nhomes;
	for (i = 0; i < c->p.nhomes && !ret; i++) {
		c->homes[i] = homes[i];
		if (homes[i] >= c->p.nodes || ivy_set_has(&seen, homes[i]))
			ret = -EINVAL;
		else
			ret = ivy_set_add(c, &seen, homes[i]);
		if (homes[i] == c->p.id)
			c->home_index = i;
	}
	ivy_set_clear(c, &seen);
	return ret;
}

static size_t homes_bytes(const struct ivy *c)
{
	return c->p.nhomes * sizeof(*c->homes);
}

static size_t peers_bytes(const struct ivy *c)
{
	return (c->p.nodes + IVY_PEER_CHUNK - 1) / IVY_PEER_CHUNK * sizeof(*c->peers);
}

int ivy_tables_make(struct ivy *c, const u16 *homes)
{
	int ret;

	c->homes = ivy_alloc(c, homes_bytes(c));
	c->peers = ivy_alloc(c, peers_bytes(c));
	c->scratch = ivy_alloc(c, IVY_LIST_MAX * sizeof(u64));
	c->readers = ivy_alloc(c, IVY_LIST_MAX * sizeof(u64));
	c->ids = ivy_alloc(c, IVY_LIST_MAX * sizeof(u16));
	if (!c->homes || !c->peers || !c->scratch || !c->readers || !c->ids)
		return -ENOMEM;
	ret = homes_take(c, homes);
	if (ret || c->home_index == c->p.nhomes)
		return ret;
	c->nleaves = ((c->p.pages - 1) / IVY_RUN) / c->p.nhomes + 1;
	c->dir = ivy_alloc(c, c->nleaves * sizeof(*c->dir));
	return c->dir ? 0 : -ENOMEM;
}

void ivy_tables_free(struct ivy *c)
{
	ivy_free(c, c->ids, IVY_LIST_MAX * sizeof(u16));
	ivy_free(c, c->readers, IVY_LIST_MAX * sizeof(u64));
	ivy_free(c, c->scratch, IVY_LIST_MAX * sizeof(u64));
	ivy_free(c, c->peers, peers_bytes(c));
	ivy_free(c, c->homes, homes_bytes(c));
}
