// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A write to a page, as its home sees it: one at a time for each page.
 *
 *	INV	all other nodes of the copyset drop the present version: in parallel, by a tree
 *	GIVE	the owner drops its rights, keeps the contents, and sends them to the writer
 *	(DONE)	the writer confirms; only now is it the owner, and the former one may free its page
 *
 * GRANT replaces GIVE where there is no owner, or where the owner is the writer. An invalidation
 * once begun is never called off, and no copy of that version is granted after it: so "I have
 * dropped that version" stays true for ever, however late or often it arrives. The writer itself
 * may have a copy, whatever its request says (which may be an old one): it stays in the copyset
 * until it has answered.
 *
 * If the writer refuses the page, the owner that kept it takes it back (BACK), under yet another
 * version. So it does where the writer is lost, but not if the page was sent to it: it may have
 * written, so the contents are lost with it. What the owner kept is old, and nobody gets it.
 */
#include "impl.h"

struct ivy_txn *ivy_txn_make(struct ivy *c, struct ivy_home *h, u64 page)
{
	struct ivy_txn *t = ivy_alloc(c, sizeof(*t));

	IVY_ASSERT(!h->txn);
	if (!t)
		return NULL;
	t->home = h;
	t->page = page;
	t->next = c->txns;
	if (t->next)
		t->next->prev = t;
	c->txns = t;
	h->txn = t;
	return t;
}

void ivy_txn_unlink(struct ivy *c, struct ivy_txn *t)
{
	if (t->next)
		t->next->prev = t->prev;
	if (t->prev)
		t->prev->next = t->next;
	else
		c->txns = t->next;
	t->home->txn = NULL;
	ivy_free(c, t->wait, t->cap * sizeof(*t->wait));
	ivy_free(c, t, sizeof(*t));
}

/* ---- waiting requests ---- */

static bool wait_grow(struct ivy *c, struct ivy_txn *t)
{
	u32 cap = t->cap ? t->cap * 2 : 4;
	struct ivy_wait *bigger;

	if (t->at) {
		t->nwait -= t->at;
		__builtin_memmove(t->wait, t->wait + t->at, t->nwait * sizeof(*t->wait));
		t->at = 0;
		return true;
	}
	if (cap > 2u * IVY_NODES_MAX)
		return false;
	bigger = ivy_alloc(c, cap * sizeof(*bigger));
	if (!bigger)
		return false;
	if (t->nwait)
		__builtin_memcpy(bigger, t->wait, t->nwait * sizeof(*bigger));
	ivy_free(c, t->wait, t->cap * sizeof(*t->wait));
	t->wait = bigger;
	t->cap = cap;
	return true;
}

/* A request for which there is no room is dropped; its node retries. */
void ivy_txn_wait(struct ivy *c, struct ivy_txn *t, u64 who, u64 have, bool retry)
{
	u32 i;

	if (retry && t->who == who)
		return;
	for (i = t->at; retry && i < t->nwait; i++)
		if (t->wait[i].who == who)
			return;
	if (t->nwait == t->cap && !wait_grow(c, t))
		return;
	t->wait[t->nwait++] = (struct ivy_wait){who, have};
}

/* The reads at the front, into c->readers. */
static u32 waiting_reads(struct ivy *c, struct ivy_txn *t)
{
	u32 n = 0;

	while (t->at < t->nwait && n < IVY_LIST_MAX && t->wait[t->at].have == IVY_HAVE_READ)
		c->readers[n++] = t->wait[t->at++].who;
	return n;
}

/* A pass over the directory that waits for searches goes on when half of them have ended. */
static void seek_ends(struct ivy *c, struct ivy_txn *t)
{
	if (t->phase != IVY_PH_SEEK)
		return;
	t->phase = IVY_PH_INV;
	if (--c->nseeks > IVY_SEEK_MAX / 2 || !c->seeks_full)
		return;
	c->seeks_full = false;
	c->env->ending(c->ctx);
}

void ivy_txn_next(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;

	seek_ends(c, t);
	while (t->at < t->nwait) {
		u32 n = waiting_reads(c, t);
		struct ivy_wait w;

		if (n) {
			ivy_serve(c, h, t->page, n);
			continue;
		}
		w = t->wait[t->at++];
		if (!ivy_lease_of_txn(c, w.who) || !ivy_dir_usable(c, h, t->page, w.who, w.have))
			continue;
		ivy_txn_write(c, t, w.who, w.have);
		return;
	}
	ivy_txn_unlink(c, t);
}

/* ---- the phases ---- */

/* How many nodes may have a copy, beside the owner and the writer. */
static u32 txn_others(const struct ivy_txn *t)
{
	const struct ivy_copyset *set = &t->home->set;

	return set->n - (u32)ivy_set_has(set, ivy_who_node(t->who));
}

static void inv_send(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;
	u16 writer = ivy_who_node(t->who);

	ivy_cast_inv_set(c, t->page, h->ver, &h->set, writer);
	if (writer != c->p.id && ivy_set_has(&h->set, c->p.id))
		ivy_grant_inv(c, t->page, h->ver, c->p.id);
}

static void txn_send(struct ivy *c, struct ivy_txn *t, bool again)
{
	struct ivy_home *h = t->home;
	u16 writer = ivy_who_node(t->who);
	u8 flags = 0;

	t->asked = ivy_now(c);
	t->again = again;
	switch (t->phase) {
	case IVY_PH_INV:
		inv_send(c, t);
		break;
	case IVY_PH_GIVE:
		flags = t->nodata ? IVY_F_NODATA : 0;
		ivy_tell_node(c, h->owner, IVY_GIVE, t->page, h->ver, t->who, flags);
		break;
	case IVY_PH_GRANT:
		flags = t->nodata || h->lost || h->owner != IVY_NONE ? 0 : IVY_F_ZERO;
		ivy_tell_node(c, writer, IVY_GRANT, t->page, t->newver, t->who, flags);
		break;
	case IVY_PH_BACK:
		flags = t->doubt ? IVY_F_BACK | IVY_F_LOSS : IVY_F_BACK;
		ivy_tell_node(c, writer, IVY_GRANT, t->page, t->newver, t->who, flags);
		break;
	case IVY_PH_SEEK:
		flags = t->doubt ? IVY_F_LOSS : 0;
		ivy_tell_node(c, t->seek, IVY_SEEK, t->page, h->ver, t->who, flags);
		break;
	}
}

void ivy_txn_send(struct ivy *c, struct ivy_txn *t)
{
	txn_send(c, t, false);
}

/* The contents are lost. */
static void txn_fail(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;

	IVY_ASSERT(!txn_others(t));
	h->ver = t->newver;
	ivy_dir_lose(c, h, t->page);
	if (!t->dead && ivy_who_txn(t->who))
		ivy_tell_node(c, ivy_who_node(t->who), IVY_LOST, t->page, h->ver, t->who, 0);
	ivy_txn_next(c, t);
}

/* All copies but the owner's and the writer's are gone. */
static void txn_give(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;
	u16 writer = ivy_who_node(t->who);

	t->phase = h->owner == IVY_NONE || h->owner == writer ? IVY_PH_GRANT : IVY_PH_GIVE;
	if (t->dead)
		ivy_txn_cancel(c, t);
	else if (h->lost && !t->nodata && !ivy_set_has(&h->set, writer))
		txn_fail(c, t);
	else
		ivy_txn_send(c, t);
	if (IVY_MUTANT(DONE_NOT_AWAITED) && t->home->txn == t && t->phase == IVY_PH_GIVE)
		ivy_txn_done(c, t);
}

void ivy_txn_acked(struct ivy *c, struct ivy_txn *t)
{
	if (!txn_others(t))
		txn_give(c, t);
}

void ivy_txn_write(struct ivy *c, struct ivy_txn *t, u64 who, u64 have)
{
	struct ivy_home *h = t->home;
	u16 writer = ivy_who_node(who);
	bool member = ivy_set_has(&h->set, writer) || h->owner == writer;

	t->who = who;
	t->newver = h->ver + 1;
	t->dead = false;
	t->doubt = false;
	if (IVY_MUTANT(WRITER_FORGOTTEN))
		ivy_set_del(c, &h->set, writer);
	t->nodata = have == IVY_VER_ANY || (member && have == h->ver);
	if (IVY_MUTANT(UPGRADE_WITHOUT_COPY) && have)
		t->nodata = true;
	if (IVY_MUTANT(NO_INVALIDATION) && t->nodata)
		ivy_set_clear(c, &h->set);
	t->phase = IVY_PH_INV;
	if (txn_others(t))
		ivy_txn_send(c, t);
	if (IVY_MUTANT(ACKS_NOT_AWAITED))
		ivy_set_clear(c, &h->set);
	ivy_txn_acked(c, t);
}

/* ---- its end ---- */

void ivy_txn_done(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;
	u16 former = h->owner, writer = ivy_who_node(t->who);

	ivy_pace_answered(c, writer, t->asked, t->again);
	ivy_pace_answered(c, former, t->asked, t->again);
	ivy_set_del(c, &h->set, writer);
	/* Invariants 4 and 1 of IVY.md. */
	IVY_ASSERT(!h->set.n && t->newver > h->ver);
	if (former != IVY_NONE && former != writer)
		ivy_tell_node(c, former, IVY_FREE, t->page, h->ver, 0, 0);
	h->ver = t->newver;
	h->owner = writer;
	h->lost = 0;
	c->stats.grants++;
	ivy_txn_next(c, t);
}

/* The owner takes the page back; `doubt`: only if it has not sent it to the writer. */
static void txn_back(struct ivy *c, struct ivy_txn *t, bool doubt)
{
	t->newver++;
	t->who = ivy_who(t->home->owner, 0);
	t->dead = false;
	t->doubt = doubt && !IVY_MUTANT(ROLLED_BACK);
	t->phase = IVY_PH_BACK;
	ivy_txn_send(c, t);
}

void ivy_txn_cancel(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;

	ivy_set_del(c, &h->set, ivy_who_node(t->who));
	if (h->owner == IVY_NONE && !h->lost) {
		/* Still zeros. Above what was refused: readers refuse that, too, from now on. */
		h->ver = t->newver + 1;
		ivy_txn_next(c, t);
	} else if (h->owner == IVY_NONE || h->owner == ivy_who_node(t->who)) {
		txn_fail(c, t);
	} else {
		txn_back(c, t, false);
	}
}

void ivy_txn_writer_lost(struct ivy *c, struct ivy_txn *t, bool clean)
{
	t->dead = true;
	if (t->phase == IVY_PH_INV)
		ivy_txn_acked(c, t);
	else if (clean || (IVY_MUTANT(ROLLED_BACK) && t->phase == IVY_PH_GRANT))
		ivy_txn_cancel(c, t);
	else if (t->phase == IVY_PH_GIVE)
		txn_back(c, t, true);
	else
		txn_fail(c, t);
}

void ivy_txn_owner_lost(struct ivy *c, struct ivy_txn *t)
{
	struct ivy_home *h = t->home;

	h->owner = IVY_NONE;
	h->lost = 1;
	if (t->phase == IVY_PH_INV) {
		ivy_txn_acked(c, t);
	} else if (t->phase == IVY_PH_BACK || t->dead) {
		txn_fail(c, t);
	} else if (t->phase == IVY_PH_GIVE) {
		/*
		 * The writer may have the page from it already, or a copy of the version before.
		 * If it says NACK it has neither, and takes neither any more.
		 */
		t->phase = IVY_PH_GRANT;
		ivy_txn_send(c, t);
	}
}

/* Whether the phase waits for a message of that node. */
static bool txn_awaits(const struct ivy_txn *t, u16 node)
{
	switch (t->phase) {
	case IVY_PH_INV:
		return ivy_set_has(&t->home->set, node) && ivy_who_node(t->who) != node;
	case IVY_PH_SEEK:
		return t->seek == node;
	case IVY_PH_GIVE:
		return t->home->owner == node || ivy_who_node(t->who) == node;
	default:
		return ivy_who_node(t->who) == node;
	}
}

void ivy_txn_node_joined(struct ivy *c, u16 node)
{
	struct ivy_txn *t;

	for (t = c->txns; t; t = t->next)
		if (txn_awaits(t, node))
			t->asked = 0;
}

/* The first node from that one on whose message the phase waits for; or IVY_NONE. */
static u16 txn_awaited(const struct ivy_txn *t, u16 from)
{
	u16 owner = t->phase == IVY_PH_GIVE ? t->home->owner : IVY_NONE;
	u16 node = t->phase == IVY_PH_SEEK ? t->seek : ivy_who_node(t->who);

	if (t->phase == IVY_PH_INV) {
		from = ivy_set_next(&t->home->set, from);
		return from == node ? ivy_set_next(&t->home->set, (u16)(from + 1)) : from;
	}
	if (from <= owner && (owner < node || from > node))
		return owner;
	return from <= node ? node : IVY_NONE;
}

/* Whether its message is to be sent again. */
static bool txn_late(struct ivy *c, const struct ivy_txn *t)
{
	u64 since = ivy_now(c) - t->asked;
	u16 node;

	if (!t->asked)
		return true;
	if (since < c->p.retry_ns)
		return false;
	for (node = txn_awaited(t, 0); node != IVY_NONE; node = txn_awaited(t, (u16)(node + 1)))
		if (since < ivy_pace_ns(c, node))
			return false;
	return true;
}

/* The nodes that it waits for are slow, and doubted: see ivy_pair_doubt(). */
static void txn_doubt(struct ivy *c, const struct ivy_txn *t)
{
	u16 node;

	for (node = txn_awaited(t, 0); node != IVY_NONE; node = txn_awaited(t, (u16)(node + 1))) {
		ivy_lease_doubt(c, node);
		if (t->asked)
			ivy_pace_late(c, node);
	}
}

void ivy_txn_tick(struct ivy *c)
{
	struct ivy_txn *t;

	for (t = c->txns; t; t = t->next) {
		if (IVY_MUTANT(NO_RETRY) || !txn_late(c, t))
			continue;
		c->stats.retries++;
		txn_doubt(c, t);
		txn_send(c, t, true);
	}
}
