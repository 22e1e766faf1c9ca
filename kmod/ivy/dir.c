// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory of the pages whose home this is: the owner of each page, and the nodes that may
 * have copies of it (the copyset).
 *
 * The copyset is a superset of the nodes that have a copy of the present version: nodes drop clean
 * copies without telling. It never lacks one, because only an answered invalidation of that
 * version, or the end of a node's lease, removes a node from it.
 */
#include "impl.h"

struct ivy_home *ivy_dir_entry(struct ivy *c, u64 page, bool make)
{
	struct ivy_home **leaf, *h;

	if (ivy_home_of(c, page) != c->p.id)
		return NULL;
	leaf = &c->dir[page / IVY_RUN / c->p.nhomes];
	if (!*leaf && make)
		*leaf = ivy_alloc(c, IVY_RUN * sizeof(**leaf));
	if (!*leaf)
		return NULL;
	h = &(*leaf)[page % IVY_RUN];
	if (!h->ver && make) {
		/*
		 * Above all versions that a former instance of this home may have granted: messages
		 * of that time are stale.
		 */
		h->ver = c->p.closed && !IVY_MUTANT(ANEW_VERSIONS) ? c->p.start << 15 : 1;
		h->owner = IVY_NONE;
		h->lost = c->begun_lost;
	}
	return h->ver ? h : NULL;
}

bool ivy_dir_usable(struct ivy *c, struct ivy_home *h, u64 page, u64 who, u64 have)
{
	if (!h->lost || have == IVY_VER_ANY)
		return true;
	ivy_tell_node(c, ivy_who_node(who), IVY_LOST, page, h->ver, who, 0);
	return false;
}

bool ivy_dir_owner_live(struct ivy *c, const struct ivy_home *h)
{
	const struct ivy_peer *peer;

	if (h->orphan)
		return false;
	if (h->owner == IVY_NONE || h->owner == c->p.id)
		return true;
	peer = ivy_peer_get(c, h->owner);
	return peer && peer->its_state == IVY_LEASE_LIVE;
}

void ivy_dir_lose(struct ivy *c, struct ivy_home *h, u64 page)
{
	IVY_ASSERT(!h->set.n);
	h->owner = IVY_NONE;
	h->orphan = 0;
	h->lost = 1;
	c->stats.lost_pages++;
	c->env->lost(c->ctx, page);
}

/* Whether the nth page of this home is lost: also one that nobody has asked for yet. */
static bool entry_lost(const struct ivy *c, u64 at)
{
	const struct ivy_home *leaf = c->dir[at / IVY_RUN];

	if (leaf && leaf[at % IVY_RUN].ver)
		return leaf[at % IVY_RUN].lost;
	return c->begun_lost;
}

/* The first of this home's share, in its order, that is not below the page. */
static u64 share_from(const struct ivy *c, u64 page)
{
	u64 round = page / IVY_RUN / c->p.nhomes;
	u32 turn = ivy_home_turn(page, c->p.nhomes);

	if (turn == c->home_index)
		return round * IVY_RUN + page % IVY_RUN;
	return (round + (turn > c->home_index)) * IVY_RUN;
}

u32 ivy_dir_lost(struct ivy *c, u64 *from, u64 *pages, u32 room)
{
	u64 at, end, share;
	u32 n = 0;

	if (!c->dir || *from >= c->p.pages) {
		*from = c->p.pages;
		return 0;
	}
	share = ivy_share_pages(c->p.pages, c->p.nhomes, c->home_index);
	at = share_from(c, *from);
	end = at + IVY_LOST_STEP * IVY_RUN < share ? at + IVY_LOST_STEP * IVY_RUN : share;
	for (; at < end && n < room; at++) {
		if (entry_lost(c, at))
			pages[n++] = ivy_share_page(c, at);
		else if (!c->dir[at / IVY_RUN])
			at |= IVY_RUN - 1; /* none of its leaf */
	}
	*from = at < share ? ivy_share_page(c, at) : c->p.pages;
	return n;
}

void ivy_dir_free(struct ivy *c)
{
	u64 i;
	u32 k;

	for (i = 0; c->dir && i < c->nleaves; i++) {
		for (k = 0; c->dir[i] && k < IVY_RUN; k++)
			ivy_set_clear(c, &c->dir[i][k].set);
		ivy_free(c, c->dir[i], IVY_RUN * sizeof(**c->dir));
	}
	ivy_free(c, c->dir, c->nleaves * sizeof(*c->dir));
}
