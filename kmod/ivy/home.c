// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A page's home: messages to it.
 *
 * Reads are served at once (serve.c). A write is a transaction (txn.c); all other requests for the
 * page wait until it ends.
 */
#include "impl.h"

/* ---- reads ---- */

/*
 * Zeros that no other node may have a copy of are granted to a reader that may write them later:
 * then it need not ask. This node's own requests cost no message, and its copies may be dropped.
 */
static bool grant_fresh(struct ivy *c, struct ivy_home *h, u64 page, u64 who)
{
	u16 node = ivy_who_node(who);

	if (h->owner != IVY_NONE || h->lost || node == c->p.id || !ivy_lease_of_txn(c, who) ||
	    h->set.n > ivy_set_has(&h->set, node) || !ivy_txn_make(c, h, page))
		return false;
	ivy_txn_write(c, h->txn, who, 0);
	return true;
}

/* A page that is not fresh is not asked for in earnest: its owner keeps it. */
static void gets_ahead(struct ivy *c, struct ivy_home *h, u64 page, u64 who)
{
	u16 node = ivy_who_node(who);

	if (IVY_MUTANT(AHEAD_OWNED) && !h->txn)
		h->owner = IVY_NONE;
	if (!h->txn && grant_fresh(c, h, page, who))
		return;
	/* This request may be a repetition. */
	if (ivy_lease_of_txn(c, who) && h->owner != node && !(h->txn && h->txn->who == who))
		ivy_tell_node(c, node, IVY_NOT, page, 0, who, 0);
}

static void home_gets(struct ivy *c, u64 page, const u64 *who, u32 n, u8 flags)
{
	struct ivy_home *h = ivy_dir_entry(c, page, true);
	u32 i;

	if (!h)
		return;
	if (flags & IVY_F_AHEAD) {
		gets_ahead(c, h, page, *who);
		return;
	}
	if (!h->txn && !ivy_dir_owner_live(c, h))
		ivy_recover_seek(c, h, page);
	if (!h->txn && n == 1 && (flags & IVY_F_FRESH) && grant_fresh(c, h, page, *who))
		return;
	for (i = 0; i < n; i++) {
		if (h->txn)
			ivy_txn_wait(c, h->txn, who[i], IVY_HAVE_READ, flags & IVY_F_RETRY);
		c->readers[i] = who[i];
	}
	if (h->txn || !ivy_dir_owner_live(c, h))
		return;
	/* The owner may not have answered. */
	if (flags & IVY_F_RETRY)
		ivy_lease_doubt(c, h->owner);
	ivy_serve(c, h, page, n);
}

void ivy_home_batch(struct ivy *c, const struct ivy_batch *b)
{
	home_gets(c, b->page, b->who, b->n, b->flags);
}

static void rx_gets(struct ivy *c, const struct ivy_msg *m)
{
	bool retry = m->flags & IVY_F_RETRY;
	u64 one[8];
	u32 i, k;

	/* In large clusters requests that arrive together are served together. */
	if (c->p.relays > c->p.relay_above && !retry && m->count && !(m->flags & IVY_F_AHEAD)) {
		ivy_relay_gather(c, m, ivy_home_batch);
		return;
	}
	if (!m->count)
		home_gets(c, m->page, &m->who, 1, m->flags); /* from the ring */
	for (i = 0; i < m->count; i += k) {
		for (k = 0; k < 8 && i + k < m->count; k++)
			one[k] = ivy_list_who(m, i + k);
		home_gets(c, m->page, one, k, m->flags);
	}
}

/* ---- writes ---- */

static void rx_getx(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_home *h = ivy_dir_entry(c, m->page, true);

	if (!h || ivy_who_node(m->who) != m->src || !ivy_lease_of_txn(c, m->who))
		return;
	/*
	 * A discard ends a lost page: not while nodes may use it under leases of the former
	 * instance.
	 */
	if (m->ver == IVY_VER_ANY && c->grace && ivy_now(c) < c->grace &&
	    !IVY_MUTANT(ANEW_AT_ONCE))
		return;
	if (!h->txn && !ivy_dir_owner_live(c, h))
		ivy_recover_seek(c, h, m->page);
	if (h->txn) {
		ivy_txn_wait(c, h->txn, m->who, m->ver, m->flags & IVY_F_RETRY);
		return;
	}
	if (!ivy_dir_owner_live(c, h) || !ivy_dir_usable(c, h, m->page, m->who, m->ver))
		return;
	if (ivy_txn_make(c, h, m->page))
		ivy_txn_write(c, h->txn, m->who, m->ver);
}

static void rx_acks(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m)
{
	u32 i;

	if (!h->txn || h->txn->phase != IVY_PH_INV || m->ver != h->ver) {
		c->stats.ignored++;
		return;
	}
	if (!m->count && m->src == c->p.id)
		ivy_set_del(c, &h->set, ivy_who_node(m->who));
	for (i = 0; i < m->count; i++)
		ivy_set_del(c, &h->set, ivy_list_id(m, i));
	ivy_pace_answered(c, m->src, h->txn->asked, h->txn->again);
	ivy_txn_acked(c, h->txn);
}

/* DONE and NACK: from the transaction's writer, about the version granted to it? */
static bool from_writer(const struct ivy_txn *t, const struct ivy_msg *m)
{
	return t && t->phase != IVY_PH_INV && t->phase != IVY_PH_SEEK && m->ver == t->newver &&
	       m->src == ivy_who_node(t->who);
}

/* ---- pages that come home ---- */

static void rx_put(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m, const void *data)
{
	/* Its DONE, or its HAVE, was lost, and it evicts the page already. */
	if (from_writer(h->txn, m))
		ivy_txn_done(c, h->txn);
	else
		ivy_recover_found(c, h, m);
	if (h->owner != m->src || h->ver != m->ver) {
		/* The page has been handed on, or this PUT is a repetition. */
		ivy_tell_node(c, m->src, IVY_FREE, m->page, m->ver, 0, 0);
		return;
	}
	if (h->txn && !IVY_MUTANT(PUT_WHILE_BUSY))
		return; /* the transaction sends GIVE to the owner, or the owner retries */
	if (m->flags & IVY_F_ZERO) {
		h->owner = IVY_NONE;
	} else {
		if (m->src == c->p.id || !data || !ivy_grant_keep(c, m->page, m->ver, data))
			return;
		ivy_set_del(c, &h->set, c->p.id);
		h->owner = c->p.id;
	}
	ivy_tell_node(c, m->src, IVY_FREE, m->page, m->ver, 0, 0);
	ivy_grant_satisfy(c, m->page);
}

void ivy_home_rx(struct ivy *c, const struct ivy_msg *m, const void *data)
{
	struct ivy_home *h;

	if (m->type == IVY_GETS) {
		rx_gets(c, m);
		return;
	}
	if (m->type == IVY_GETX) {
		rx_getx(c, m);
		return;
	}
	h = ivy_dir_entry(c, m->page, false);
	if (h && m->type == IVY_ACK) {
		rx_acks(c, h, m);
		return;
	}
	if (!h || !ivy_lease_of(c, m->src, m->inc)) {
		c->stats.ignored++;
		return;
	}
	if (m->type == IVY_PUT)
		rx_put(c, h, m, data);
	else if (m->type == IVY_ASK && h->owner != m->src)
		ivy_tell_node(c, m->src, IVY_FREE, m->page, m->ver, 0, 0);
	else if (m->type == IVY_HAVE)
		ivy_recover_found(c, h, m);
	else if (m->type == IVY_MISS)
		ivy_recover_missed(c, h, m);
	else if (m->type == IVY_DONE && from_writer(h->txn, m))
		ivy_txn_done(c, h->txn);
	else if (m->type == IVY_NACK && from_writer(h->txn, m))
		ivy_txn_cancel(c, h->txn);
	else
		c->stats.ignored++;
}

void ivy_home_free(struct ivy *c)
{
	while (c->txns)
		ivy_txn_unlink(c, c->txns);
	ivy_dir_free(c);
}
