// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A node's own pages: messages about them.
 *
 * A copy to read is accepted only as the answer to the request under way (`who`) and only of a
 * version above the request's floor: the highest version whose invalidation this node has
 * acknowledged since it sent the request. A page to write is accepted as the answer, or if the
 * version before it is here: then the home is in the middle of that very hand-over.
 */
#include "impl.h"

static void floor_raise(struct ivy_op *op, u64 ver)
{
	if (op && op->want && op->floor < ver)
		op->floor = ver;
}

static bool answers(struct ivy *c, const struct ivy_op *op, enum ivy_right right, u64 who)
{
	return op && op->sent && op->want == right && (op->who == who || IVY_MUTANT(ANY_ANSWER)) &&
	       ivy_lease_live(c, ivy_home_of(c, op->page), false);
}

void ivy_grant_satisfy(struct ivy *c, u64 page)
{
	const struct ivy_slot *s = ivy_slot_get(c, page);
	struct ivy_op *op = ivy_op_get(c, page);

	if (op && op->want && !op->discard && s && s->right >= op->want) {
		ivy_op_finish(c, op, 0);
		ivy_op_trim(c, op);
	}
}

/* ---- a copy to read ---- */

void ivy_grant_data(struct ivy *c, u64 page, u64 ver, u64 who, u8 flags, const void *data)
{
	struct ivy_op *op = ivy_op_get(c, page);
	struct ivy_slot *s = ivy_slot_get(c, page);

	if (!answers(c, op, IVY_S, who) || (s && (s->flags & IVY_SLOT_REVOKING)) ||
	    (!data && !(flags & IVY_F_ZERO))) {
		c->stats.ignored++;
		return;
	}
	if (ver <= op->floor && !IVY_MUTANT(STALE_VERSION)) {
		/*
		 * Stale on arrival, but the home takes the request for answered: send it again. For
		 * zeros, which this node's own home delivers without a message, the next tick does
		 * that: a peer that lies about versions must not keep this call from returning.
		 */
		op->asked = 0;
		if (data)
			ivy_op_send(c, op, true);
		return;
	}
	if (!s || s->ver < ver) {
		s = ivy_slot_make(c, page);
		if (!s)
			return; /* the tick retries */
		c->env->install(c->ctx, page, flags & IVY_F_ZERO ? NULL : data);
		ivy_slot_grant(c, page, s, ver, IVY_S);
		if (op->ahead)
			ivy_slot_hold_end(c, s); /* nobody is about to use it */
	}
	ivy_grant_satisfy(c, page);
}

static void rx_data(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	u32 i, others = 0;

	for (i = 0; i < m->count; i++)
		if (ivy_who_node(ivy_list_who(m, i)) != c->p.id)
			c->readers[others++] = ivy_list_who(m, i);
	/* Passed on even if it is stale here: each reader judges by its own request. */
	ivy_cast_data(c, m->page, m->ver, m->flags, c->readers, others, data);
	for (i = 0; i < m->count; i++)
		if (ivy_who_node(ivy_list_who(m, i)) == c->p.id)
			ivy_grant_data(c, m->page, m->ver, ivy_list_who(m, i), m->flags, data);
}

/* ---- a page to write ---- */

static void grant_taken(struct ivy *c, u64 page, struct ivy_op *op, struct ivy_slot *s, u64 ver,
			bool fresh)
{
	ivy_slot_grant(c, page, s, ver, fresh ? IVY_S : IVY_M);
	if (fresh)
		s->flags = IVY_SLOT_OWNER | IVY_SLOT_FRESH;
	if (op && op->ahead)
		ivy_slot_hold_end(c, s);
	ivy_tell_home(c, IVY_DONE, page, ver, 0);
	if (op && op->discard) {
		/* The page is owned; what is left of the discard is to PUT it as zeros. */
		op->want = IVY_I;
		op->sent = false;
		op->floor = 0;
		ivy_agent_put(c, op);
		return;
	}
	ivy_grant_satisfy(c, page);
	op = ivy_op_get(c, page);
	if (op)
		ivy_agent_settle(c, page);
}

/*
 * GRANT with BACK: takes back a page that this node had handed over, or was about to. With LOSS
 * only in the latter case: the writer may have written.
 */
static void rx_back(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_slot *s = ivy_slot_get(c, m->page);
	struct ivy_op *op = ivy_op_get(c, m->page);

	u8 mine = m->flags & IVY_F_LOSS ? IVY_SLOT_OWNER : IVY_SLOT_OWNER | IVY_SLOT_GIVEN;

	if (!s || !(s->flags & mine)) {
		ivy_tell_home(c, IVY_NACK, m->page, m->ver, 0);
		return;
	}
	if (s->ver > m->ver)
		return;
	if (s->ver == m->ver) {
		ivy_tell_home(c, IVY_DONE, m->page, m->ver, 0);
		return;
	}
	if (s->flags & IVY_SLOT_REVOKING) {
		/* The home asks again; until then the page is handed to nobody. */
		if (op)
			op->todo &= (u8)~IVY_TODO_GIVE;
		return;
	}
	if ((s->flags & IVY_SLOT_ZERO) && !IVY_MUTANT(DISCARD_BACK))
		c->env->install(c->ctx, m->page, NULL);
	if (op)
		op->todo = 0;
	grant_taken(c, m->page, op, s, m->ver, false);
}

static void grant_refuse(struct ivy *c, const struct ivy_msg *m, struct ivy_op *op)
{
	/*
	 * After NACK this grant may not be taken, however late it comes with its bytes (the next
	 * request is another), nor may an older version be installed: the former owner takes the
	 * page back, or it is lost.
	 */
	if (op && op->who == m->who)
		op->sent = false;
	floor_raise(op, m->ver - 1);
	if (ivy_lease_live(c, ivy_home_of(c, m->page), false))
		ivy_tell_home(c, IVY_NACK, m->page, m->ver, 0);
}

static void rx_grant(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	struct ivy_slot *s = ivy_slot_get(c, m->page);
	struct ivy_op *op = ivy_op_get(c, m->page);
	bool read = answers(c, op, IVY_S, m->who);
	bool wanted = (read || answers(c, op, IVY_M, m->who)) && m->ver > op->floor;
	bool follows = s && s->ver + 1 == m->ver && !(s->flags & IVY_SLOT_GIVEN) &&
		       (s->right >= IVY_S || (s->flags & IVY_SLOT_PUT)) &&
		       ivy_lease_live(c, ivy_home_of(c, m->page), false);
	bool bytes = data || (m->flags & IVY_F_ZERO) || IVY_MUTANT(UPGRADE_WITHOUT_COPY);

	if (s && s->ver == m->ver && (s->flags & IVY_SLOT_OWNER)) {
		if (IVY_MUTANT(GRANT_TWICE) && bytes)
			c->env->install(c->ctx, m->page, data);
		ivy_tell_home(c, IVY_DONE, m->page, m->ver, 0);
		return;
	}
	if (s && (s->flags & IVY_SLOT_REVOKING))
		return; /* the home retries */
	if (!follows && !(wanted && (bytes || op->discard))) {
		grant_refuse(c, m, op);
		return;
	}
	if (!follows) {
		s = ivy_slot_make(c, m->page);
		if (!s)
			return;
		c->env->install(c->ctx, m->page, op->discard ? NULL : data);
	}
	if (op)
		op->todo &= (u8)~(IVY_TODO_PUT | IVY_TODO_DROP);
	grant_taken(c, m->page, op, s, m->ver, read && !follows && (m->flags & IVY_F_ZERO));
}

/* ---- requests of the home ---- */

void ivy_grant_serve(struct ivy *c, u64 page, u64 ver, const u64 *who, u32 n)
{
	struct ivy_slot *s = ivy_slot_get(c, page);
	struct ivy_op *op = ivy_op_get(c, page);

	if (!s || s->ver != ver || !(s->flags & IVY_SLOT_OWNER)) {
		if (!s || (s->ver <= ver && !(s->flags & IVY_SLOT_GIVEN)))
			ivy_answer_home(c, IVY_MISS, page, ver, 0);
		return;
	}
	if (s->right <= IVY_S && !(s->flags & IVY_SLOT_REVOKING) && !(op && op->todo)) {
		ivy_agent_copy(c, page, s, who, n);
		return;
	}
	op = ivy_op_make(c, page);
	if (!op)
		return;
	if (op->serve_ver != ver)
		op->nserve = 0;
	op->serve_ver = ver;
	if (ivy_op_serve(c, op, who, n))
		op->todo |= IVY_TODO_SERVE;
	ivy_agent_settle(c, page);
}

static void rx_serve(struct ivy *c, const struct ivy_msg *m)
{
	u32 i;

	for (i = 0; i < m->count; i++)
		c->readers[i] = ivy_list_who(m, i);
	ivy_grant_serve(c, m->page, m->ver, c->readers, m->count);
}

static void inv_answer(struct ivy *c, struct ivy_op *op, u64 page, u64 ver, u16 to)
{
	u16 self = c->p.id;

	if (!op) {
		ivy_cast_ack(c, page, ver, to, &self, 1);
		return;
	}
	op->inv_ver = ver;
	op->inv_to = to;
	ivy_cast_acked(c, op);
	ivy_op_trim(c, op);
}

void ivy_grant_inv(struct ivy *c, u64 page, u64 ver, u16 to)
{
	struct ivy_slot *s = ivy_slot_get(c, page);
	struct ivy_op *op = ivy_op_get(c, page);

	floor_raise(op, ver);
	if (s && s->ver == ver && (s->flags & IVY_SLOT_OWNER))
		return; /* a correct home does not invalidate the owner */
	if (!s || s->ver > ver || (s->flags & (IVY_SLOT_OWNER | IVY_SLOT_GIVEN))) {
		inv_answer(c, op, page, ver, to);
		return;
	}
	op = ivy_op_make(c, page);
	if (!op)
		return;
	op->inv_ver = ver;
	op->inv_to = to;
	op->todo |= IVY_TODO_INV;
	if (IVY_MUTANT(ACK_BEFORE_REVOKED))
		ivy_cast_acked(c, op);
	ivy_agent_settle(c, page);
}

static void rx_inv(struct ivy *c, const struct ivy_msg *m)
{
	if (ivy_list_id(m, 0) != c->p.id || ivy_home_of(c, m->page) == c->p.id) {
		c->stats.ignored++;
		return;
	}
	if (m->count > 1)
		ivy_cast_pass_inv(c, m);
	ivy_grant_inv(c, m->page, m->ver, m->to);
}

static void rx_give(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_slot *s = ivy_slot_get(c, m->page);
	struct ivy_op *op;

	if (!s || s->ver != m->ver || !(s->flags & (IVY_SLOT_OWNER | IVY_SLOT_GIVEN))) {
		if (!s || s->ver <= m->ver)
			ivy_answer_home(c, IVY_MISS, m->page, m->ver, m->who);
		return;
	}
	op = ivy_op_make(c, m->page);
	if (!op)
		return;
	op->give_ver = m->ver;
	op->give_who = m->who;
	op->give_flags = m->flags;
	op->todo |= IVY_TODO_GIVE;
	ivy_agent_settle(c, m->page);
}

static void rx_free(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_slot *s = ivy_slot_get(c, m->page);
	struct ivy_op *op = ivy_op_get(c, m->page);
	bool put;

	if (!s || !(s->flags & (IVY_SLOT_GIVEN | IVY_SLOT_PUT)) || s->ver > m->ver)
		return;
	put = s->flags & IVY_SLOT_PUT;
	ivy_slot_drop(c, m->page);
	if (op) {
		ivy_pace_answered(c, m->src, op->slot_asked, op->slot_again);
		/*
		 * FREE after a hand-over: the writer has the old contents, so the discard is not
		 * done.
		 */
		op->discard &= !put && !IVY_MUTANT(DISCARD_FREED);
		op->todo = 0;
	}
	if (!op || !op->discard)
		c->env->complete(c->ctx, m->page, 0);
	if (op) {
		ivy_op_send(c, op, true);
		ivy_op_trim(c, op);
	}
}

static void rx_seek(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_slot *s = ivy_slot_get(c, m->page);
	struct ivy_op *op = ivy_op_get(c, m->page);
	u8 todo = op ? op->todo : 0;
	bool copy = s && !(todo & IVY_TODO_INV) && (s->right >= IVY_S || (todo & IVY_TODO_DROP));

	if (s && s->ver == m->ver && !(s->flags & IVY_SLOT_GIVEN) &&
	    ((s->flags & IVY_SLOT_OWNER) || copy)) {
		s->flags |= IVY_SLOT_OWNER;
		/* What was to be dropped is the only one now: it goes home. */
		if (todo & IVY_TODO_DROP)
			op->todo = (todo & (u8)~IVY_TODO_DROP) | IVY_TODO_PUT;
		ivy_answer_home(c, IVY_HAVE, m->page, m->ver, m->who);
		return;
	}
	/*
	 * It stays in the copyset, for a copy may be on its way. Not if this is the last question:
	 * then it is not taken any more, as the answer to what is another request from now on.
	 */
	if ((m->flags & IVY_F_LOSS) && op && op->want == IVY_S) {
		op->sent = false;
		ivy_op_send(c, op, false);
	}
	ivy_answer_home(c, IVY_MISS, m->page, m->ver, m->who);
}

static void rx_lost(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_op *op = ivy_op_get(c, m->page);

	if (!op || !op->sent || op->who != m->who)
		return;
	ivy_op_finish(c, op, -EIO);
	ivy_op_trim(c, op);
}

static void rx_not(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_op *op = ivy_op_get(c, m->page);

	if (op && op->sent && op->who == m->who && op->want == IVY_S)
		ivy_ahead_refused(c, op);
}

static bool from_home(struct ivy *c, const struct ivy_msg *m)
{
	return m->src == ivy_home_of(c, m->page) &&
	       (m->inc == ivy_lease_inc(c, m->src) || IVY_MUTANT(DEAD_INCARNATION)) &&
	       ivy_lease_live(c, m->src, false);
}

void ivy_grant_rx(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	bool back = m->type == IVY_GRANT && (m->flags & IVY_F_BACK);

	if (m->type == IVY_DATA) {
		rx_data(c, m, data);
		return;
	}
	if (m->type == IVY_GRANT && !back) {
		rx_grant(c, m, data);
		return;
	}
	if (m->type == IVY_INV) {
		rx_inv(c, m);
		return;
	}
	if (!from_home(c, m)) {
		c->stats.ignored++;
		return;
	}
	if (back)
		rx_back(c, m);
	else if (m->type == IVY_SERVE)
		rx_serve(c, m);
	else if (m->type == IVY_GIVE)
		rx_give(c, m);
	else if (m->type == IVY_FREE)
		rx_free(c, m);
	else if (m->type == IVY_SEEK)
		rx_seek(c, m);
	else if (m->type == IVY_LOST)
		rx_lost(c, m);
	else if (m->type == IVY_NOT)
		rx_not(c, m);
}

bool ivy_grant_keep(struct ivy *c, u64 page, u64 ver, const void *data)
{
	struct ivy_slot *s = ivy_slot_get(c, page);
	struct ivy_op *op = ivy_op_get(c, page);

	if (s && ((s->flags & IVY_SLOT_REVOKING) || (op && op->todo)))
		return false;
	if (!s || s->ver != ver || s->right == IVY_I) {
		s = ivy_slot_make(c, page);
		if (!s)
			return false;
		c->env->install(c->ctx, page, data);
		ivy_slot_grant(c, page, s, ver, IVY_S);
	}
	s->flags |= IVY_SLOT_OWNER;
	return true;
}
