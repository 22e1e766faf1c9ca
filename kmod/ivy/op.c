// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A page's operations at this node: its own request, and other nodes' requests of it.
 *
 * A page at rest has no struct ivy_op. A request has an id that no other request of the node ever
 * has (`who`), and an answer with another id is ignored. It is sent again, under the same id, until
 * it is answered; under a new one only when the lease under which it was made has ended.
 */
#include "impl.h"

static struct ivy_op **bucket(struct ivy *c, u64 page)
{
	return &c->ops[page % IVY_BUCKETS];
}

struct ivy_op *ivy_op_get(struct ivy *c, u64 page)
{
	struct ivy_op *op = *bucket(c, page);

	while (op && op->page != page)
		op = op->next;
	return op;
}

struct ivy_op *ivy_op_make(struct ivy *c, u64 page)
{
	struct ivy_op *op = ivy_op_get(c, page);
	struct ivy_peer *peer;

	if (op)
		return op;
	peer = ivy_home_peer(c, page);
	if (!peer && ivy_home_of(c, page) != c->p.id)
		return NULL;
	op = ivy_alloc(c, sizeof(*op));
	if (!op)
		return NULL;
	op->page = page;
	op->next = *bucket(c, page);
	*bucket(c, page) = op;
	c->nops++;
	if (peer)
		peer->my_ops++;
	return op;
}

static void op_unlink(struct ivy *c, struct ivy_op *op)
{
	struct ivy_op **at = bucket(c, op->page);
	struct ivy_peer *peer = ivy_home_peer(c, op->page);

	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
	c->nops--;
	IVY_ASSERT(!peer || peer->my_ops);
	if (peer)
		peer->my_ops--;
	if (op->cast)
		ivy_free(c, op->cast, ivy_cast_bytes(op->cast->n));
	ivy_free(c, op->serve, op->serve_cap * sizeof(*op->serve));
	ivy_free(c, op, sizeof(*op));
}

void ivy_op_trim(struct ivy *c, struct ivy_op *op)
{
	struct ivy_slot *s = ivy_slot_get(c, op->page);

	if (op->want || op->discard || op->todo || op->cast)
		return;
	if (s && (s->flags & (IVY_SLOT_GIVEN | IVY_SLOT_PUT)))
		return; /* it repeats PUT or ASK until FREE arrives */
	op_unlink(c, op);
}

/* ---- the request ---- */

void ivy_op_want(struct ivy *c, struct ivy_op *op, enum ivy_right right)
{
	op->want = (u8)right;
	op->sent = false;
	ivy_op_send(c, op, false);
}

static void gets_send(struct ivy *c, struct ivy_op *op, u16 home, u8 flags)
{
	if (home == c->p.id) {
		struct ivy_msg m = {
			.type = IVY_GETS, .flags = flags, .page = op->page, .who = op->who};

		ivy_send(c, home, &m, NULL);
		return;
	}
	if (op->ahead == IVY_AHEAD_FRESH)
		flags |= IVY_F_FRESH | IVY_F_AHEAD;
	else if (!op->look)
		flags |= IVY_F_FRESH;
	/* A retry does not depend on a relay; what is fresh is granted to one node alone. */
	if (!(flags & (IVY_F_RETRY | IVY_F_AHEAD)))
		home = ivy_relay_up(c, home);
	ivy_relay_ask(c, home, op->page, op->who, flags);
}

static void getx_send(struct ivy *c, struct ivy_op *op, u16 home, u8 flags)
{
	struct ivy_msg m = {.type = IVY_GETX, .flags = flags, .page = op->page, .who = op->who};
	const struct ivy_slot *s = ivy_slot_get(c, op->page);

	if (op->discard)
		m.ver = IVY_VER_ANY;
	else if (s && s->right >= IVY_S)
		m.ver = s->ver;
	ivy_send(c, home, &m, NULL);
}

void ivy_op_send(struct ivy *c, struct ivy_op *op, bool retry)
{
	u16 home = ivy_home_of(c, op->page);
	const struct ivy_slot *s = ivy_slot_get(c, op->page);
	u8 flags = retry && op->sent ? IVY_F_RETRY : 0;

	op->asked = ivy_now(c);
	op->again = op->sent;
	if (!op->want || (op->todo & IVY_TODO_PUT) || (s && (s->flags & IVY_SLOT_PUT)))
		return; /* FREE comes first */
	if (!ivy_lease_live(c, home, true)) {
		op->sent = false;
		return;
	}
	if (!op->sent)
		op->who = ivy_who(c->p.id, ++c->txn);
	op->sent = true;
	if (op->want == IVY_S)
		gets_send(c, op, home, flags);
	else
		getx_send(c, op, home, flags);
}

/* The node whose answer is waited for, as far as is known here. */
static u16 awaited(struct ivy *c, const struct ivy_op *op)
{
	u16 home = ivy_home_of(c, op->page);
	const struct ivy_home *h;

	if (home != c->p.id)
		return home;
	h = ivy_dir_entry(c, op->page, false);
	return h && !h->txn ? h->owner : IVY_NONE;
}

void ivy_op_tick(struct ivy *c, struct ivy_op *op)
{
	u16 node = awaited(c, op);
	u64 wait = ivy_pace_ns(c, node), least = op->ahead ? IVY_AHEAD_RETRIES * c->p.retry_ns : 0;
	bool late = !op->asked || ivy_now(c) - op->asked >= (wait > least ? wait : least);

	if (op->ahead && late)
		ivy_op_forgo(op);
	if (!op->want || op->ahead || (op->sent && !late) || IVY_MUTANT(NO_RETRY))
		return;
	if (op->sent && op->asked)
		ivy_pace_late(c, node);
	c->stats.retries += op->sent;
	ivy_op_send(c, op, true);
}

void ivy_op_finish(struct ivy *c, struct ivy_op *op, int err)
{
	bool ahead = op->ahead;

	if (op->sent)
		ivy_pace_answered(c, awaited(c, op), op->asked, op->again);
	ivy_op_forgo(op);
	if (err)
		op->discard = false;
	if (!ahead)
		c->env->complete(c->ctx, op->page, err);
}

void ivy_op_forgo(struct ivy_op *op)
{
	op->want = IVY_I;
	op->sent = false;
	op->ahead = IVY_AHEAD_NOT;
	op->floor = 0;
}

void ivy_op_join(struct ivy *c, struct ivy_op *op)
{
	op->ahead = IVY_AHEAD_NOT;
	op->asked = ivy_now(c);
	if (!op->sent)
		ivy_op_send(c, op, true);
}

/* ---- requests of other nodes ---- */

bool ivy_op_serve(struct ivy *c, struct ivy_op *op, const u64 *who, u32 n)
{
	u32 cap = op->nserve + n;
	u64 *bigger;

	if (cap > op->serve_cap) {
		if (cap > 2u * IVY_NODES_MAX)
			return false;
		bigger = ivy_alloc(c, cap * sizeof(*bigger));
		if (!bigger)
			return false;
		if (op->nserve)
			__builtin_memcpy(bigger, op->serve, op->nserve * sizeof(*bigger));
		ivy_free(c, op->serve, op->serve_cap * sizeof(*bigger));
		op->serve = bigger;
		op->serve_cap = (u16)cap;
	}
	__builtin_memcpy(op->serve + op->nserve, who, n * sizeof(*who));
	op->nserve = (u16)(op->nserve + n);
	return true;
}

/* ---- all operations ---- */

void ivy_op_each(struct ivy *c, u16 home, void (*each)(struct ivy *c, struct ivy_op *op))
{
	u32 i;

	for (i = 0; i < IVY_BUCKETS; i++) {
		struct ivy_op *op = c->ops[i], *next;

		for (; op; op = next) {
			next = op->next;
			if (home == IVY_NONE || ivy_home_of(c, op->page) == home)
				each(c, op);
		}
	}
}

void ivy_op_free(struct ivy *c)
{
	ivy_op_each(c, IVY_NONE, op_unlink);
}
