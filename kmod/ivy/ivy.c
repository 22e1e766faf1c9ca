// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An instance of the protocol: its life, what arrives, and time.
 *
 * A message to this node itself goes into a ring, emptied at the end of each call from outside, so
 * that no function is ever entered again by its own messages. A full ring loses the message, which
 * is nothing that the protocol does not stand.
 */
#include "impl.h"

u16 ivy_home(const struct ivy *c, u64 page)
{
	return c->homes[page % c->p.nhomes];
}

const struct ivy_stats *ivy_stats(const struct ivy *c)
{
	return &c->stats;
}

/* ---- messages ---- */

void ivy_send(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data)
{
	m->src = c->p.id;
	if (dst != c->p.id) {
		c->stats.sent++;
		c->env->send(c->ctx, dst, m, data);
		return;
	}
	if (c->ring_n == IVY_RING)
		return;
	c->ring[(c->ring_at + c->ring_n++) % IVY_RING] = *m;
}

static void home_rx(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	if (c->closed)
		c->stats.ignored++; /* it will be sent again */
	else if (m->type == IVY_LEASE)
		ivy_lease_rx(c, m);
	else
		ivy_home_rx(c, m, data);
}

static void dispatch(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	bool home = m->type == IVY_LEASE || ivy_home(c, m->page) == c->p.id;

	switch (m->type) {
	case IVY_LEASE:
		home_rx(c, m, NULL);
		break;
	case IVY_LEASED:
	case IVY_FENCED:
		ivy_lease_rx(c, m);
		break;
	case IVY_INV:
		ivy_cast_rx_inv(c, m);
		break;
	case IVY_ACK:
		if (home)
			home_rx(c, m, NULL);
		else
			ivy_cast_rx_ack(c, m);
		break;
	case IVY_GETS:
		if (home)
			home_rx(c, m, NULL);
		else
			ivy_relay_gets(c, m);
		break;
	case IVY_GETX:
	case IVY_DONE:
	case IVY_NACK:
	case IVY_PUT:
	case IVY_ASK:
	case IVY_HAVE:
	case IVY_MISS:
		if (home)
			home_rx(c, m, data);
		else
			c->stats.ignored++;
		break;
	default:
		ivy_agent_rx(c, m, data);
		break;
	}
}

void ivy_drain(struct ivy *c)
{
	while (c->ring_n) {
		struct ivy_msg m = c->ring[c->ring_at];

		c->ring_at = (c->ring_at + 1) % IVY_RING;
		c->ring_n--;
		dispatch(c, &m, NULL);
	}
}

void ivy_rx(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	c->stats.received++;
	if (m->src == c->p.id)
		return;
	dispatch(c, m, data);
	ivy_drain(c);
}

void ivy_flush(struct ivy *c)
{
	ivy_relay_flush(c);
	ivy_drain(c);
}

/* ---- time ---- */

void ivy_tick(struct ivy *c)
{
	/* Leases first: what has ended must not be used once more. */
	ivy_lease_tick(c);
	ivy_txn_tick(c);
	ivy_agent_tick(c);
	ivy_flush(c);
}

void ivy_node_joined(struct ivy *c, u16 node)
{
	struct ivy_peer *peer = ivy_peer_get(c, node);

	/* The lease first: what a home that began anew answers to the rest is worth nothing. */
	ivy_lease_joined(c, node);
	ivy_txn_node_joined(c, node);
	if (peer && node != c->p.id)
		ivy_agent_resend(c, node, 0);
	ivy_tick(c);
}

/* ---- life ---- */

void ivy_open(struct ivy *c, bool lost)
{
	if (!c->closed)
		return;
	c->closed = false;
	c->begun_lost = lost;
	c->grace = lost ? ivy_now(c) + c->p.lease_ns : 0;
	ivy_agent_resend(c, c->p.id, 0);
	ivy_drain(c);
}

static bool params_ok(const struct ivy_params *p)
{
	return p->nodes && p->nodes <= IVY_NODES_MAX && p->id < p->nodes && p->nhomes &&
	       p->nhomes <= p->nodes && p->homes && p->pages && p->pages < 1ull << 52 && p->start &&
	       p->start < IVY_TXN_MAX && p->margin_ns <= p->lease_ns && p->fanout <= IVY_LIST_MAX &&
	       p->hold_ns < 1ull << 40;
}

static void params_default(struct ivy_params *p)
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
}

/* Copies the homes; -EINVAL if one is no node, or there twice. */
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

static int tables_make(struct ivy *c, const u16 *homes)
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
	c->nleaves = ((c->p.pages - 1) / c->p.nhomes + 1 + IVY_LEAF - 1) / IVY_LEAF;
	c->dir = ivy_alloc(c, c->nleaves * sizeof(*c->dir));
	return c->dir ? 0 : -ENOMEM;
}

int ivy_create(const struct ivy_params *p, const struct ivy_env *env, void *ctx, struct ivy **out)
{
	struct ivy_params full = *p;
	struct ivy *c;
	int ret;

	params_default(&full);
	if (!params_ok(&full))
		return -EINVAL;
	c = env->alloc(ctx, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->env = env;
	c->ctx = ctx;
	c->p = full;
	c->txn = full.start;
	c->closed = full.closed;
	ret = tables_make(c, p->homes);
	if (ret) {
		ivy_destroy(c);
		return ret;
	}
	c->p.homes = c->homes;
	*out = c;
	return 0;
}

void ivy_destroy(struct ivy *c)
{
	if (!c)
		return;
	while (c->batches) {
		struct ivy_batch *b = c->batches;

		c->batches = b->next;
		ivy_free(c, b, sizeof(*b));
	}
	if (c->peers)
		ivy_op_free(c);
	ivy_home_free(c);
	ivy_lease_free(c);
	ivy_free(c, c->ids, IVY_LIST_MAX * sizeof(u16));
	ivy_free(c, c->readers, IVY_LIST_MAX * sizeof(u64));
	ivy_free(c, c->scratch, IVY_LIST_MAX * sizeof(u64));
	ivy_free(c, c->peers, peers_bytes(c));
	ivy_free(c, c->homes, homes_bytes(c));
	c->env->free(c->ctx, c, sizeof(*c));
}
