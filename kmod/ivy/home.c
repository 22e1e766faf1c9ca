// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory of the pages whose home this is.
 *
 * Reads are granted at once, any number at a time: the readers enter the copyset, and the owner (or
 * the home, for a page of zeros) is told to send them copies. A write is a transaction (txn.c)
 * for which everything else waits.
 *
 * The copyset holds everybody who may have a copy of the present version, and perhaps some who do
 * not: nodes drop clean copies without telling. It is never the other way round, because only an
 * answered invalidation of the version, or the end of a node's lease, takes anybody out.
 */
#include "impl.h"

struct ivy_home *ivy_home_get(struct ivy *c, u64 page, bool make)
{
	u64 at = page / c->p.nhomes;
	struct ivy_home **leaf, *h;

	if (ivy_home(c, page) != c->p.id)
		return NULL;
	leaf = &c->dir[at / IVY_LEAF];
	if (!*leaf && make)
		*leaf = ivy_alloc(c, IVY_LEAF * sizeof(**leaf));
	if (!*leaf)
		return NULL;
	h = &(*leaf)[at % IVY_LEAF];
	if (!h->ver && make) {
		/*
		 * Above all versions of the home that it may have been before: what still arrives
		 * of those is too old.
		 */
		h->ver = c->p.closed && !IVY_MUTANT(ANEW_VERSIONS) ? c->p.start << 15 : 1;
		h->owner = IVY_NONE;
		h->lost = c->begun_lost;
	}
	return h->ver ? h : NULL;
}

void ivy_home_msg(struct ivy *c, u16 dst, u8 type, u64 page, u64 ver, u64 who, u8 flags)
{
	struct ivy_msg m = {.type = type,
			    .flags = flags,
			    .page = page,
			    .ver = ver,
			    .who = who,
			    .inc = ivy_lease_its_inc(c, dst)};

	ivy_send(c, dst, &m, NULL);
}

u32 ivy_home_bytes(const struct ivy_home *h)
{
	u32 bytes = sizeof(*h) + (h->set.bits ? IVY_BITMAP_BYTES : 0);

	if (h->txn)
		bytes += sizeof(*h->txn) + h->txn->cap * (u32)sizeof(*h->txn->wait);
	return bytes;
}

/* Whether a request can be met at all; tells the requester if not. */
bool ivy_home_usable(struct ivy *c, struct ivy_home *h, u64 page, u64 who, u64 have)
{
	u16 node = ivy_who_node(who);

	if (!h->lost || have == IVY_VER_ANY || (have == h->ver && ivy_set_has(&h->set, node)))
		return true;
	ivy_home_msg(c, node, IVY_LOST, page, h->ver, who, 0);
	return false;
}

/* ---- reads ---- */

static bool reader_enter(struct ivy *c, struct ivy_home *h, u64 page, u64 who)
{
	u16 node = ivy_who_node(who);

	if (!ivy_lease_of_txn(c, who) || node == h->owner ||
	    !ivy_home_usable(c, h, page, who, IVY_HAVE_READ))
		return false;
	if (IVY_MUTANT(HOLDER_FORGOTTEN) && h->set.n)
		return true;
	return !ivy_set_add(c, &h->set, node);
}

/* Serves the first n of c->readers. */
void ivy_home_serve(struct ivy *c, struct ivy_home *h, u64 page, u32 n)
{
	u32 i, entered = 0;

	for (i = 0; i < n; i++)
		if (reader_enter(c, h, page, c->readers[i]))
			c->readers[entered++] = c->readers[i];
	if (!entered)
		return;
	c->stats.grants += entered;
	if (h->owner == IVY_NONE)
		ivy_cast_data(c, page, h->ver, IVY_F_ZERO, c->readers, entered, NULL);
	else if (h->owner == c->p.id)
		ivy_agent_serve(c, page, h->ver, c->readers, entered);
	else
		ivy_cast_serve(c, h->owner, page, h->ver, c->readers, entered);
}

void ivy_home_gets(struct ivy *c, u64 page, const u64 *who, u32 n, bool retry)
{
	struct ivy_home *h = ivy_home_get(c, page, true);
	u32 i;

	if (!h)
		return;
	if (!h->txn && !ivy_home_owner_live(c, h))
		ivy_home_seek(c, h, page);
	for (i = 0; i < n; i++) {
		if (h->txn)
			ivy_txn_wait(c, h->txn, who[i], IVY_HAVE_READ, retry);
		c->readers[i] = who[i];
	}
	if (!h->txn && ivy_home_owner_live(c, h))
		ivy_home_serve(c, h, page, n);
}

static void rx_gets(struct ivy *c, const struct ivy_msg *m)
{
	bool retry = m->flags & IVY_F_RETRY;
	u64 one[8];
	u32 i, k;

	/* In large clusters those that come together are served together. */
	if (c->p.nodes > c->p.relay_above && !retry && m->count) {
		ivy_relay_gets(c, m);
		return;
	}
	if (!m->count)
		ivy_home_gets(c, m->page, &m->who, 1, retry); /* from the ring */
	for (i = 0; i < m->count; i += k) {
		for (k = 0; k < 8 && i + k < m->count; k++)
			one[k] = ivy_list_who(m, i + k);
		ivy_home_gets(c, m->page, one, k, retry);
	}
}

/* ---- writes ---- */

static void rx_getx(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_home *h = ivy_home_get(c, m->page, true);

	if (!h || ivy_who_node(m->who) != m->src || !ivy_lease_of_txn(c, m->who))
		return;
	/* A discard makes a lost page another one: not while somebody may use the old one. */
	if (m->ver == IVY_VER_ANY && c->grace && ivy_now(c) < c->grace &&
	    !IVY_MUTANT(ANEW_AT_ONCE))
		return;
	if (!h->txn && !ivy_home_owner_live(c, h))
		ivy_home_seek(c, h, m->page);
	if (h->txn) {
		ivy_txn_wait(c, h->txn, m->who, m->ver, m->flags & IVY_F_RETRY);
		return;
	}
	if (!ivy_home_owner_live(c, h) || !ivy_home_usable(c, h, m->page, m->who, m->ver))
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
	ivy_txn_acked(c, h->txn);
}

/* DONE and NACK: is the writer of the transaction speaking of what was given to it? */
static bool from_writer(const struct ivy_txn *t, const struct ivy_msg *m)
{
	return t && t->phase != IVY_PH_INV && t->phase != IVY_PH_SEEK && m->ver == t->newver &&
	       m->src == ivy_who_node(t->who);
}

/* ---- pages that come home ---- */

static void rx_put(struct ivy *c, struct ivy_home *h, const struct ivy_msg *m, const void *data)
{
	/* Its DONE was lost, and it has gone on. */
	if (from_writer(h->txn, m))
		ivy_txn_done(c, h->txn);
	if (h->owner != m->src || h->ver != m->ver) {
		/* It has been handed on, or has arrived before. */
		ivy_home_msg(c, m->src, IVY_FREE, m->page, m->ver, 0, 0);
		return;
	}
	if (h->txn && !IVY_MUTANT(PUT_WHILE_BUSY))
		return; /* the owner will be asked for it, or asks again */
	if (m->flags & IVY_F_ZERO) {
		h->owner = IVY_NONE;
	} else {
		if (m->src == c->p.id || !data || !ivy_agent_keep(c, m->page, m->ver, data))
			return;
		ivy_set_del(c, &h->set, c->p.id);
		h->owner = c->p.id;
	}
	ivy_home_msg(c, m->src, IVY_FREE, m->page, m->ver, 0, 0);
	ivy_agent_satisfy(c, m->page);
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
	h = ivy_home_get(c, m->page, false);
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
		ivy_home_msg(c, m->src, IVY_FREE, m->page, m->ver, 0, 0);
	else if (m->type == IVY_HAVE)
		ivy_home_found(c, h, m);
	else if (m->type == IVY_MISS)
		ivy_home_missed(c, h, m);
	else if (m->type == IVY_DONE && from_writer(h->txn, m))
		ivy_txn_done(c, h->txn);
	else if (m->type == IVY_NACK && from_writer(h->txn, m))
		ivy_txn_cancel(c, h->txn);
	else
		c->stats.ignored++;
}

void ivy_home_free(struct ivy *c)
{
	u64 i;
	u32 k;

	while (c->txns)
		ivy_txn_unlink(c, c->txns);
	for (i = 0; c->dir && i < c->nleaves; i++) {
		for (k = 0; c->dir[i] && k < IVY_LEAF; k++)
			ivy_set_clear(c, &c->dir[i][k].set);
		ivy_free(c, c->dir[i], IVY_LEAF * sizeof(**c->dir));
	}
	ivy_free(c, c->dir, c->nleaves * sizeof(*c->dir));
}

bool ivy_dir_get(const struct ivy *c, u64 page, struct ivy_dir *out)
{
	/* Without `make` nothing is changed. */
	const struct ivy_home *h =
		page < c->p.pages ? ivy_home_get((struct ivy *)c, page, false) : NULL;

	if (!h)
		return false;
	*out = (struct ivy_dir){.ver = h->ver,
				.owner = h->owner,
				.holders = h->set.n,
				.busy = h->txn,
				.lost = h->lost,
				.bytes = ivy_home_bytes(h)};
	return true;
}
