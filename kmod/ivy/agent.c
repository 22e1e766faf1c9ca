// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A node's own pages: revocation and retries.
 *
 * Requests of other nodes (for a copy, for the page, to invalidate it) are noted in `todo`, and
 * done by ivy_agent_settle() as soon as the page's rights are low enough: after the minimum hold,
 * and when the environment has undone its mappings. A right is lowered before the mappings are
 * undone, never after.
 */
#include "impl.h"

/* ---- revocation ---- */

/* Whether the page's rights are low enough for its `todo`; begins to revoke them if not. */
static bool rights_low(struct ivy *c, const struct ivy_op *op, struct ivy_slot *s)
{
	enum ivy_right need = op->todo & ~IVY_TODO_SERVE ? IVY_I : IVY_S;
	u32 left;

	if (!s)
		return true;
	if (s->flags & IVY_SLOT_REVOKING)
		return false;
	if (s->right <= need || (IVY_MUTANT(OWNER_NOT_DOWNGRADED) && need == IVY_S))
		return true;
	left = ivy_slot_hold_left(c, s);
	if (left) {
		c->stats.holds++;
		c->env->arm_hold(c->ctx, op->page, left * 1000ull);
		return false;
	}
	if (op->todo & (IVY_TODO_SERVE | IVY_TODO_INV | IVY_TODO_GIVE))
		ivy_slot_taken(c, op->page);
	s->right = (u8)need;
	if (c->env->revoke(c->ctx, op->page, need, 0))
		return true;
	s->flags |= IVY_SLOT_REVOKING;
	return false;
}

static u8 body_of(const struct ivy_slot *s)
{
	return s->flags & (IVY_SLOT_ZERO | IVY_SLOT_FRESH) ? IVY_F_ZERO : IVY_F_PAGE;
}

void ivy_agent_copy(struct ivy *c, u64 page, struct ivy_slot *s, const u64 *who, u32 n)
{
	IVY_ASSERT(s->right <= IVY_S); /* invariant 8 of IVY.md */
	ivy_cast_data(c, page, s->ver, body_of(s), who, n, NULL);
	if (s->right == IVY_S && !IVY_MUTANT(FRESH_SHARED))
		s->flags &= (u8)~IVY_SLOT_FRESH;
}

static void do_serve(struct ivy *c, struct ivy_op *op, struct ivy_slot *s)
{
	/* Readers of another version have been invalidated since. */
	if (s && s->ver == op->serve_ver)
		ivy_agent_copy(c, op->page, s, op->serve, op->nserve);
	op->nserve = 0;
}

static void do_give(struct ivy *c, struct ivy_op *op, struct ivy_slot *s)
{
	struct ivy_msg m = {
		.type = IVY_GRANT, .page = op->page, .ver = op->give_ver + 1, .who = op->give_who};
	bool again;

	if (!s || s->ver != op->give_ver)
		return;
	/* Invariant 5 of IVY.md: no right is left, and no mapping. */
	IVY_ASSERT(s->right == IVY_I && !(s->flags & IVY_SLOT_REVOKING));
	if (!(op->give_flags & IVY_F_NODATA))
		m.flags = body_of(s);
	again = (s->flags & IVY_SLOT_GIVEN) && !IVY_MUTANT(GIVEN_AGAIN);
	s->flags &= (u8)~(IVY_SLOT_OWNER | IVY_SLOT_PUT);
	s->flags |= IVY_SLOT_GIVEN;
	op->slot_asked = ivy_now(c);
	op->slot_again = true; /* whether ASK is answered soon is up to the next owner */
	ivy_send(c, ivy_who_node(m.who), &m, NULL);
	if ((s->flags & IVY_SLOT_ZERO) && !again) {
		/*
		 * The next owner begins with zeros: that completes the discard as FREE would. A
		 * discard that has begun since is not the one that made these.
		 */
		op->discard = false;
		c->env->complete(c->ctx, op->page, 0);
	}
	if (IVY_MUTANT(FREED_EARLY))
		ivy_slot_drop(c, op->page);
}

static void put_send(struct ivy *c, struct ivy_op *op, struct ivy_slot *s)
{
	op->slot_asked = ivy_now(c);
	ivy_tell_home(c, IVY_PUT, op->page, s->ver, body_of(s));
}

static void put_begin(struct ivy *c, struct ivy_op *op, struct ivy_slot *s)
{
	bool at_home = ivy_home_of(c, op->page) == c->p.id && !IVY_MUTANT(PUT_TO_ITSELF);

	if (!at_home || (s->flags & IVY_SLOT_ZERO)) {
		s->flags |= IVY_SLOT_PUT;
		op->slot_again = false;
		put_send(c, op, s);
		return;
	}
	/* The owner was lost while this copy was being evicted at its home: it is the only one. */
	ivy_slot_grant(c, op->page, s, s->ver, IVY_S);
	s->flags |= IVY_SLOT_OWNER;
	if (op->want == IVY_S)
		ivy_op_finish(c, op, 0);
	else
		c->env->complete(c->ctx, op->page, 0);
}

static void todo_run(struct ivy *c, struct ivy_op *op, struct ivy_slot *s)
{
	u8 todo = op->todo;

	op->todo = 0;
	/* A discard is a write of zeros by the only owner: readers served from now on see it. */
	if (s && (todo & IVY_TODO_PUT) && op->discard)
		s->flags |= IVY_SLOT_ZERO;
	if (todo & IVY_TODO_SERVE)
		do_serve(c, op, s);
	if (todo & IVY_TODO_INV) {
		if (s && s->ver <= op->inv_ver) {
			ivy_slot_drop(c, op->page);
			s = NULL;
		}
		ivy_cast_acked(c, op);
	}
	if (todo & IVY_TODO_GIVE) {
		do_give(c, op, s);
	} else if (s && (todo & IVY_TODO_PUT)) {
		put_begin(c, op, s);
	} else if (todo & IVY_TODO_DROP) {
		if (s)
			ivy_slot_drop(c, op->page);
		c->env->complete(c->ctx, op->page, 0);
	}
}

void ivy_agent_settle(struct ivy *c, u64 page)
{
	struct ivy_op *op = ivy_op_get(c, page);
	struct ivy_slot *s = ivy_slot_get(c, page);

	if (!op)
		return;
	if (op->todo && rights_low(c, op, s))
		todo_run(c, op, s);
	ivy_op_trim(c, op);
}

/* ---- the lease has ended ---- */

static void op_end(struct ivy *c, struct ivy_op *op)
{
	op->todo = 0;
	op->nserve = 0;
	op->sent = false;
	op->floor = 0; /* it was for answers to a request that is over */
	if (op->ahead)
		ivy_op_forgo(op);
	if (op->discard)
		op->want = IVY_M;
	ivy_cast_free(c, op);
}

static void slot_end(struct ivy *c, u64 page, u64 deadline)
{
	struct ivy_slot *s = ivy_slot_get(c, page);
	bool mapped = s->right > IVY_I || (s->flags & IVY_SLOT_REVOKING);

	if (s->flags & IVY_SLOT_DYING)
		return;
	s->right = IVY_I;
	if (!mapped ||
	    (c->env->revoke(c->ctx, page, IVY_I, deadline) && !(s->flags & IVY_SLOT_REVOKING))) {
		ivy_slot_drop(c, page);
		return;
	}
	s->flags |= IVY_SLOT_REVOKING | IVY_SLOT_DYING;
}

static void trim_each(struct ivy *c, struct ivy_op *op)
{
	ivy_op_trim(c, op);
}

void ivy_agent_end(struct ivy *c, u16 home)
{
	ivy_op_each(c, home, op_end);
	ivy_op_each(c, home, trim_each);
}

void ivy_agent_end_page(struct ivy *c, u64 page, u64 deadline)
{
	struct ivy_op *op = ivy_op_get(c, page);

	/* Requests of it that came since the lease ended are dropped. */
	if (op)
		op_end(c, op);
	slot_end(c, page, deadline);
	if (op)
		ivy_op_trim(c, op);
}

/* ---- retries ---- */

/* PUT and ASK. */
static void slot_tick(struct ivy *c, struct ivy_op *op, struct ivy_slot *s)
{
	u16 home = ivy_home_of(c, op->page);
	u64 now = ivy_now(c);

	if (op->slot_asked) {
		if (now - op->slot_asked < ivy_pace_ns(c, home))
			return;
		ivy_pace_late(c, home);
	}
	c->stats.retries++;
	op->slot_again = true;
	if (s->flags & IVY_SLOT_PUT)
		put_send(c, op, s);
	else
		ivy_tell_home(c, IVY_ASK, op->page, s->ver, 0);
	op->slot_asked = now;
}

static void op_tick(struct ivy *c, struct ivy_op *op)
{
	struct ivy_slot *s = ivy_slot_get(c, op->page);

	if (op->cast && ivy_now(c) >= op->cast->due)
		ivy_cast_flush(c, op);
	ivy_op_tick(c, op);
	if (s && (s->flags & (IVY_SLOT_GIVEN | IVY_SLOT_PUT)))
		slot_tick(c, op, s);
	ivy_agent_settle(c, op->page);
}

void ivy_agent_tick(struct ivy *c)
{
	ivy_op_each(c, IVY_NONE, op_tick);
}

static void op_fail(struct ivy *c, struct ivy_op *op)
{
	if (op->want)
		ivy_op_finish(c, op, -EIO);
	ivy_op_trim(c, op);
}

static void op_resend(struct ivy *c, struct ivy_op *op)
{
	op->asked = 0;
	op->slot_asked = 0;
	op_tick(c, op);
}

void ivy_agent_resend(struct ivy *c, u16 home, int err)
{
	ivy_op_each(c, home, err ? op_fail : op_resend);
}

bool ivy_agent_write(struct ivy *c, u64 page, struct ivy_slot *s)
{
	const struct ivy_op *op = ivy_op_get(c, page);

	if (!ivy_slot_sole(s) || (s->flags & IVY_SLOT_REVOKING) || (op && op->todo))
		return false;
	s->right = IVY_M;
	if (!IVY_MUTANT(FRESH_WRITTEN))
		s->flags &= (u8)~IVY_SLOT_FRESH;
	return true;
}

void ivy_agent_put(struct ivy *c, struct ivy_op *op)
{
	op->todo |= IVY_TODO_PUT;
	ivy_agent_settle(c, op->page);
}
