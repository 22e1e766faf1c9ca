// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory, when a node is lost.
 *
 * The node's lease has ended, so it has neither rights nor copies any more. It is removed from all
 * copysets, and its answers are no longer awaited. Where it was the owner, a holder of the same
 * version becomes the owner; the copyset may name nodes without a copy, so the home asks one after
 * the other (SEEK). If none has a copy the contents are lost, and lost() is called.
 *
 * A large directory is visited some leaves at a time. Until the pass is done the node gets no new
 * lease, or it would be removed from copysets that it has entered since. To pages not yet visited
 * the node is one that does not answer; a request for one whose owner is lost begins SEEK at once.
 */
#include "impl.h"

/* ---- SEEK: another holder ---- */

static void seek_from(struct ivy *c, struct ivy_txn *t, u16 from)
{
	t->phase = IVY_PH_SEEK;
	t->seek = ivy_set_next(&t->home->set, from);
	if (t->seek != IVY_NONE) {
		ivy_txn_send(c, t);
		return;
	}
	ivy_dir_lose(c, t->home, t->page);
	ivy_txn_next(c, t);
}

void ivy_recover_seek(struct ivy *c, struct ivy_home *h, u64 page)
{
	if (!h->set.n) {
		ivy_dir_lose(c, h, page);
		return;
	}
	/* Without memory the lost owner stays; the next request for the page tries again. */
	h->orphan = !ivy_txn_make(c, h, page);
	if (!h->orphan)
		seek_from(c, h->txn, 0);
}

void ivy_recover_found(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m)
{
	struct ivy_txn *t = h->txn;

	if (t && t->phase == IVY_PH_SEEK && m->src == t->seek && m->ver == h->ver) {
		h->owner = m->src;
		ivy_set_del(c, &h->set, m->src);
		ivy_txn_next(c, t);
	} else if (t && t->phase == IVY_PH_CONFIRM && m->src == ivy_who_node(t->who) &&
		   m->ver == t->newver) {
		ivy_txn_done(c, t);
	}
}

void ivy_recover_missed(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m)
{
	struct ivy_txn *t = h->txn;

	if (t && t->phase == IVY_PH_SEEK && m->src == t->seek && m->ver == h->ver)
		seek_from(c, t, (u16)(m->src + 1));
	else if (t && t->phase == IVY_PH_CONFIRM && m->src == ivy_who_node(t->who) &&
		 m->ver == t->newver)
		ivy_txn_fail(c, t);
}

/* ---- a node is lost ---- */

/* The owner was lost in the middle of a write. */
static void txn_owner_lost(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;

	if (t->phase == IVY_PH_BACK || t->dead) {
		ivy_txn_fail(c, t);
		return;
	}
	h->owner = IVY_NONE;
	h->lost = 1;
	if (t->phase != IVY_PH_GIVE)
		return;
	t->phase = t->nodata ? IVY_PH_GRANT : IVY_PH_CONFIRM;
	ivy_txn_send(c, t);
}

static void txn_node_lost(struct ivy *c, struct ivy_txn *t, u16 node)
{
	struct ivy_home *h = t->home;

	if (t->phase == IVY_PH_SEEK) {
		if (t->seek == node)
			seek_from(c, t, (u16)(node + 1));
		return;
	}
	if (ivy_who_node(t->who) == node)
		t->dead = true;
	if (t->phase == IVY_PH_INV) {
		if (h->owner == node) {
			h->owner = IVY_NONE;
			h->lost = 1;
		}
		ivy_txn_acked(c, t);
	} else if (h->owner == node) {
		txn_owner_lost(c, t);
	} else if (t->dead) {
		ivy_txn_cancel(c, t);
	}
}

static void page_node_lost(struct ivy *c, struct ivy_home *h, u64 page, u16 node)
{
	ivy_set_del(c, &h->set, node);
	if (h->txn)
		txn_node_lost(c, h->txn, node);
	else if (h->owner == node)
		ivy_recover_seek(c, h, page);
}

static void leaf_nodes_lost(struct ivy *c, u64 i)
{
	u32 k, n;

	for (k = 0; c->dir[i] && k < IVY_LEAF; k++) {
		u64 page = (i * IVY_LEAF + k) * c->p.nhomes + c->home_index;

		for (n = 0; c->dir[i][k].ver && n < c->nlost; n++)
			page_node_lost(c, &c->dir[i][k], page, c->lost[n]);
	}
}

/* Begins a pass with as many of the lost nodes as lost[] takes. */
static void round_begin(struct ivy *c)
{
	struct ivy_peer *peer;
	u16 node;

	c->nlost = 0;
	c->lose_at = 0;
	for (node = 0; node < c->p.nodes && c->nlost < IVY_LOSE_MAX; node++) {
		peer = ivy_peer_get(c, node);
		if (peer && peer->its_leaving)
			c->lost[c->nlost++] = node;
	}
	c->losing = c->nlost;
}

void ivy_recover_step(struct ivy *c, u32 leaves)
{
	u32 n;

	for (; leaves && c->losing; leaves--) {
		if (c->lose_at < c->nleaves) {
			leaf_nodes_lost(c, c->lose_at++);
			continue;
		}
		for (n = 0; n < c->nlost; n++)
			ivy_peer_get(c, c->lost[n])->its_leaving = false;
		round_begin(c);
	}
}

void ivy_recover_node_lost(struct ivy *c)
{
	if (c->losing)
		return; /* its turn comes with the next round */
	round_begin(c);
	ivy_recover_step(c, IVY_LOSE_NOW);
	if (c->losing)
		c->env->ending(c->ctx);
}
