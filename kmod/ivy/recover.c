// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory, when a node is lost.
 *
 * The node's lease has ended, so it has neither rights nor copies any more. It is removed from all
 * copysets, and its answers are no longer awaited. Where it was the owner, a holder of the same
 * version becomes the owner; the copyset may name nodes without a copy, so the home asks one after
 * the other (SEEK). If none has a copy, nor gets one that was on its way, the contents are lost,
 * and lost() is called.
 *
 * A large directory is visited some leaves at a time, and while IVY_SEEK_MAX searches are under way
 * the visit waits: so neither they nor their messages become many at once. Until the pass is done
 * the node gets no new lease, or it would be removed from copysets that it has entered since. To
 * pages not yet visited the node is one that does not answer; a request for one whose owner is lost
 * begins SEEK at once.
 */
#include "impl.h"

/* ---- SEEK: another holder ---- */

/* Each question has a number of its own: a repeated answer to an earlier one is none to this. */
static void seek_aim(struct ivy *c, struct ivy_txn *t, u16 node)
{
	c->nseeks += t->phase != IVY_PH_SEEK;
	t->phase = IVY_PH_SEEK;
	t->seek = node;
	t->who = ivy_who(c->p.id, ++c->txn);
}

static void seek_ask(struct ivy *c, struct ivy_txn *t, u16 node)
{
	seek_aim(c, t, node);
	ivy_txn_send(c, t);
}

/*
 * The node that was asked does not have the page: asks the next one. (The owner was the first.) A
 * copy may be in flight to a node that has already said no, so after a while all of the copyset are
 * asked once more; a node that says no the second time accepts no copy afterwards.
 */
static void seek_next(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;
	u16 from = t->seek == h->owner ? 0 : (u16)(t->seek + 1);
	u16 node = ivy_set_next(&h->set, from);

	if (node != IVY_NONE) {
		seek_ask(c, t, node);
	} else if (h->set.n && !t->doubt && !IVY_MUTANT(SEEK_ONCE)) {
		t->doubt = true;
		seek_aim(c, t, ivy_set_next(&h->set, 0));
		t->asked = ivy_now(c);
	} else {
		ivy_dir_lose(c, h, t->page);
		ivy_txn_next(c, t);
	}
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
		seek_ask(c, h->txn, ivy_set_next(&h->set, 0));
}

static bool sought(const struct ivy_txn *t, const struct ivy_msg *m)
{
	return t && t->phase == IVY_PH_SEEK && m->src == t->seek && m->ver == t->home->ver &&
	       (m->type == IVY_PUT || m->who == t->who || IVY_MUTANT(MISS_REPEATED));
}

bool ivy_recover_found(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m)
{
	if (!sought(h->txn, m) || (m->type == IVY_PUT && IVY_MUTANT(PUT_IS_NOT_HAVE)))
		return false;
	ivy_pace_answered(c, m->src, h->txn->asked, h->txn->again);
	h->owner = m->src;
	ivy_set_del(c, &h->set, m->src);
	ivy_txn_next(c, h->txn);
	return true;
}

/*
 * MISS answers SEEK; and SERVE or GIVE at a node that is not the owner, as it should be. The latter
 * may be about a time when it was not: in a hand-over the request that it names tells, at rest the
 * node is asked.
 */
void ivy_recover_missed(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m)
{
	struct ivy_txn *t = h->txn;

	if (sought(t, m)) {
		if (t->doubt)
			ivy_set_del(c, &h->set, m->src);
		seek_next(c, t);
		return;
	}
	if (h->owner != m->src || h->ver != m->ver)
		return;
	if (t && t->phase == IVY_PH_GIVE && t->who == m->who)
		ivy_txn_owner_lost(c, t);
	else if (!t && ivy_txn_make(c, h, m->page))
		seek_ask(c, h->txn, h->owner);
}

/* ---- a node is lost ---- */

static void txn_node_lost(struct ivy *c, struct ivy_txn *t, u16 node)
{
	if (t->phase == IVY_PH_SEEK) {
		if (t->seek == node)
			seek_next(c, t);
	} else if (ivy_who_node(t->who) != node) {
		if (t->home->owner == node)
			ivy_txn_owner_lost(c, t);
		else if (t->phase == IVY_PH_INV)
			ivy_txn_acked(c, t);
	} else if (t->home->owner != node) {
		ivy_txn_writer_lost(c, t, ivy_peer_get(c, node)->its_clean);
	} else {
		t->dead = true;
		ivy_txn_owner_lost(c, t);
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

	for (k = 0; c->dir[i] && k < IVY_RUN; k++) {
		u64 page = ivy_share_page(c, i * IVY_RUN + k);

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
		if (c->nseeks >= IVY_SEEK_MAX) {
			c->seeks_full = true;
			return;
		}
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
	if (c->losing && !c->seeks_full)
		c->env->ending(c->ctx);
}

/*
 * The turn of a node that was lost during a pass comes with the next one, which may never begin if
 * this one waited for its answers.
 */
void ivy_recover_tick(struct ivy *c)
{
	struct ivy_txn *t, *next;

	for (t = c->txns; t; t = next) {
		const struct ivy_peer *peer = ivy_peer_get(c, t->seek);

		next = t->next;
		if (t->phase == IVY_PH_SEEK && t->seek != c->p.id &&
		    !(peer && peer->its_state == IVY_LEASE_LIVE))
			page_node_lost(c, t->home, t->page, t->seek);
	}
}
