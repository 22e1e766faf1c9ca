// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An instance of the protocol: every call that its environment makes.
 *
 * Nothing below calls this file. A call does its part, and then drains the ring (send.c): messages
 * of this node to itself are handled when no other function of the core is active, so that none is
 * re-entered by its own messages.
 */
#include "impl.h"
#include "ivy.h"

u16 ivy_home(const struct ivy *c, u64 page)
{
	return ivy_home_of(c, page);
}

const struct ivy_stats *ivy_stats(const struct ivy *c)
{
	return &c->stats;
}

/* ---- messages ---- */

static void home_rx(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	if (c->closed)
		c->stats.ignored++; /* the sender retries */
	else if (m->type == IVY_LEASE)
		ivy_alive_rx(c, m);
	else
		ivy_home_rx(c, m, data);
}

static void dispatch_one(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	bool home = m->type == IVY_LEASE || ivy_home_of(c, m->page) == c->p.id;

	switch (m->type) {
	case IVY_LEASE:
		home_rx(c, m, NULL);
		break;
	case IVY_LEASED:
	case IVY_FENCED:
		ivy_alive_rx(c, m);
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
			ivy_relay_gather(c, m, ivy_relay_send);
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
		ivy_grant_rx(c, m, data);
		break;
	}
}

/* A message about more than one page is taken for so many, one after the other. */
static void dispatch(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	struct ivy_msg one = *m;
	u8 list[8];
	u32 i;

	if (!m->more) {
		dispatch_one(c, m, data);
		return;
	}
	one.more = 0;
	for (i = 0; i <= m->more; i++) {
		one.page = m->page + i;
		if (m->count) {
			__builtin_memcpy(list, m->list, ivy_entry_bytes(m->type));
			if (ivy_entry_bytes(m->type) == sizeof(list))
				ivy_list_put_who(list, 0, ivy_list_who(m, 0) + i);
			one.list = list;
		} else if (m->who) {
			one.who = m->who + i;
		}
		dispatch_one(c, &one, data);
	}
}

/* The end of every call from outside. */
static void drain(struct ivy *c)
{
	for (;;) {
		struct ivy_msg m;

		if (!c->ring_n)
			ivy_send_held(c);
		if (!c->ring_n)
			break;
		m = c->ring[c->ring_at];
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
	drain(c);
}

void ivy_flush(struct ivy *c)
{
	struct ivy_batch *b;

	while ((b = ivy_relay_take(c))) {
		if (b->n && ivy_home_of(c, b->page) == c->p.id)
			ivy_home_batch(c, b);
		else if (b->n)
			ivy_relay_send(c, b);
		ivy_free(c, b, sizeof(*b));
	}
	drain(c);
}

/* ---- time, nodes and leases ---- */

void ivy_tick(struct ivy *c)
{
	c->ticked = ivy_now(c);
	/* Leases first: an ended lease must not be used once more. */
	ivy_alive_tick(c);
	ivy_recover_tick(c);
	ivy_txn_tick(c);
	ivy_agent_tick(c);
	ivy_flush(c);
}

u64 ivy_due(struct ivy *c)
{
	const struct ivy_due *first = ivy_heap_first(&c->heap);
	u64 at = first ? first->at : IVY_NEVER, step = c->p.retry_ns / 2;
	bool busy = c->nops || c->txns || c->batches;

	/* What has just begun needs no tick before it may be late. */
	if (busy && !c->busy)
		c->ticked = ivy_now(c);
	c->busy = busy;
	if (busy && c->ticked + step < at)
		at = c->ticked + step;
	return at;
}

void ivy_node_joined(struct ivy *c, u16 node)
{
	struct ivy_peer *peer = ivy_peer_get(c, node);

	/* The lease first: its answer tells whether the home has begun anew. */
	ivy_alive_joined(c, node);
	ivy_txn_node_joined(c, node);
	if (peer && node != c->p.id)
		ivy_agent_resend(c, node, 0);
	ivy_tick(c);
}

bool ivy_ending(struct ivy *c)
{
	ivy_alive_step(c, IVY_END_STEP);
	ivy_recover_step(c, IVY_LOSE_STEP);
	drain(c);
	return c->ending || (c->losing && !c->seeks_full);
}

void ivy_leave(struct ivy *c)
{
	ivy_lease_leave(c);
	drain(c);
}

/* ---- requests of this node's users ---- */

enum ivy_right ivy_right(struct ivy *c, u64 page)
{
	const struct ivy_slot *s = ivy_slot_get(c, page);

	return s && ivy_lease_live(c, ivy_home_of(c, page), false) ? ivy_slot_right(s) : IVY_I;
}

static bool usable(struct ivy *c, u64 page, enum ivy_right need)
{
	struct ivy_slot *s = ivy_slot_get(c, page);

	if (!s || s->right == IVY_I || !ivy_alive_use(c, ivy_home_of(c, page)))
		return false;
	return s->right >= need || ivy_agent_write(c, page, s);
}

/* There is, or is to be, a request for the right, which a fault waits for. */
static int request(struct ivy *c, u64 page, enum ivy_access access)
{
	bool write = access == IVY_WRITE;
	enum ivy_right need = write ? IVY_M : IVY_S;
	const struct ivy_slot *s;
	struct ivy_op *op;

	if (ivy_lease_gone(c, ivy_home_of(c, page)))
		return -EIO;
	op = ivy_op_make(c, page);
	if (!op)
		return -ENOMEM;
	if (op->ahead && (op->ahead == IVY_AHEAD_FRESH || op->want >= need)) {
		/* What is granted as fresh may be written; if it is not, the fault asks again. */
		if (!IVY_MUTANT(AHEAD_DROPPED))
			ivy_op_join(c, op);
	} else if (op->want < need) {
		s = ivy_slot_get(c, page);
		c->stats.read_faults += !write;
		c->stats.write_faults += write;
		c->stats.upgrades += write && s && s->right == IVY_S;
		op->look = access == IVY_LOOK;
		op->ahead = IVY_AHEAD_NOT;
		ivy_op_want(c, op, need);
	}
	return 0;
}

int ivy_fault(struct ivy *c, u64 page, enum ivy_access access)
{
	enum ivy_right need = access == IVY_WRITE ? IVY_M : IVY_S;
	const struct ivy_op *op;
	bool here;
	int err;

	if (page >= c->p.pages)
		return -EINVAL;
	here = usable(c, page, need);
	err = here ? 0 : request(c, page, access);
	if (!err)
		ivy_ahead_fault(c, page, access);
	drain(c);
	if (err)
		return err;
	if (here || usable(c, page, need))
		return 1;
	drain(c);
	op = ivy_op_get(c, page);
	return op && op->want ? 0 : -EIO;
}

static bool slot_busy(struct ivy *c, const struct ivy_slot *s, const struct ivy_op *op)
{
	if (op && (op->want || op->discard || op->todo))
		return true;
	return s && ((s->flags & ~(IVY_SLOT_OWNER | IVY_SLOT_FRESH)) || ivy_slot_hold_left(c, s));
}

int ivy_evict(struct ivy *c, u64 page)
{
	struct ivy_slot *s = page < c->p.pages ? ivy_slot_get(c, page) : NULL;
	struct ivy_op *op;
	bool owner;

	if (!s)
		return -ENOENT;
	owner = s->flags & IVY_SLOT_OWNER;
	if (!ivy_alive_use(c, ivy_home_of(c, page)) || slot_busy(c, s, ivy_op_get(c, page)) ||
	    (owner && ivy_home_of(c, page) == c->p.id)) {
		drain(c);
		return -EBUSY;
	}
	op = ivy_op_make(c, page);
	if (op) {
		c->stats.evictions++;
		op->todo |= owner ? IVY_TODO_PUT : IVY_TODO_DROP;
		ivy_agent_settle(c, page);
	}
	drain(c);
	return op ? !ivy_slot_get(c, page) : -ENOMEM;
}

int ivy_discard(struct ivy *c, u64 page)
{
	struct ivy_slot *s = page < c->p.pages ? ivy_slot_get(c, page) : NULL;
	struct ivy_op *op;

	if (page >= c->p.pages)
		return -EINVAL;
	if (ivy_lease_gone(c, ivy_home_of(c, page)))
		return -EIO;
	op = ivy_op_make(c, page);
	if (!op)
		return -ENOMEM;
	if (op->ahead)
		ivy_op_forgo(op);
	if (op->want || op->discard || (op->todo & (IVY_TODO_PUT | IVY_TODO_DROP)) ||
	    (s && (s->flags & (IVY_SLOT_PUT | IVY_SLOT_DYING))))
		return -EBUSY;
	c->stats.discards++;
	op->discard = true;
	/* Owned here, and no other node has requested it: it is zero as of the revocation. */
	if (s && ivy_slot_sole(s) && !op->todo && ivy_lease_live(c, ivy_home_of(c, page), false))
		ivy_agent_put(c, op);
	else
		ivy_op_want(c, op, IVY_M);
	drain(c);
	return 0;
}

/* ---- completions from the environment ---- */

void ivy_revoked(struct ivy *c, u64 page)
{
	struct ivy_slot *s = ivy_slot_get(c, page);

	if (!s || !(s->flags & IVY_SLOT_REVOKING))
		return;
	s->flags &= (u8)~IVY_SLOT_REVOKING;
	if (s->flags & IVY_SLOT_DYING) {
		ivy_slot_drop(c, page);
		ivy_alive_settle(c, ivy_home_of(c, page));
	} else {
		ivy_agent_settle(c, page);
	}
	drain(c);
}

void ivy_unhold(struct ivy *c, u64 page)
{
	struct ivy_slot *s = ivy_slot_get(c, page);

	if (!s)
		return;
	ivy_slot_hold_end(c, s);
	ivy_agent_settle(c, page);
	drain(c);
}

u32 ivy_lost(struct ivy *c, u64 *from, u64 *pages, u32 room)
{
	return ivy_dir_lost(c, from, pages, room);
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
	drain(c);
}

int ivy_create(const struct ivy_params *p, const struct ivy_env *env, void *ctx, struct ivy **out)
{
	struct ivy_params full = *p;
	struct ivy *c;
	int ret;

	ivy_params_default(&full);
	if (!ivy_params_ok(&full))
		return -EINVAL;
	c = env->alloc(ctx, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->env = env;
	c->ctx = ctx;
	c->p = full;
	c->txn = full.start;
	c->closed = full.closed;
	c->ticked = ivy_now(c);
	ret = ivy_tables_make(c, p->homes);
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
	struct ivy_batch *b;

	if (!c)
		return;
	while ((b = ivy_relay_take(c)))
		ivy_free(c, b, sizeof(*b));
	if (c->peers)
		ivy_op_free(c);
	ivy_home_free(c);
	ivy_lease_free(c);
	ivy_tables_free(c);
	c->env->free(c->ctx, c, sizeof(*c));
}
