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
	u64 at = page / c->p.nhomes;
	struct ivy_home **leaf, *h;

	if (ivy_home_of(c, page) != c->p.id)
		return NULL;
	leaf = &c->dir[at / IVY_LEAF];
	if (!*leaf && make)
		*leaf = ivy_alloc(c, IVY_LEAF * sizeof(**leaf));
	if (!*leaf)
		return NULL;
	h = &(*leaf)[at % IVY_LEAF];
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
	const struct ivy_home *leaf = c->dir[at / IVY_LEAF];

	if (leaf && leaf[at % IVY_LEAF].ver)
		return leaf[at % IVY_LEAF].lost;
	return c->begun_lost;
}

u32 ivy_dir_lost(struct ivy *c, u64 *from, u64 *pages, u32 room)
{
	u64 homes = c->p.nhomes, share = 0, at, end;
	u32 n = 0;

	if (c->home_index < homes && c->p.pages > c->home_index)
		share = (c->p.pages - c->home_index + homes - 1) / homes;
	at = *from > c->home_index ? (*from - c->home_index + homes - 1) / homes : 0;
	end = at + IVY_LOST_STEP * IVY_LEAF < share ? at + IVY_LOST_STEP * IVY_LEAF : share;
	for (; at < end && n < room; at++) {
		if (entry_lost(c, at))
			pages[n++] = at * homes + c->home_index;
		else if (!c->dir[at / IVY_LEAF])
			at |= IVY_LEAF - 1; /* none of its leaf */
	}
	*from = at < share ? at * homes + c->home_index : c->p.pages;
	return n;
}

void ivy_dir_free(struct ivy *c)
{
	u64 i;
	u32 k;

	for (i = 0; c->dir && i < c->nleaves; i++) {
		for (k = 0; c->dir[i] && k < IVY_LEAF; k++)
			ivy_set_clear(c, &c->dir[i][k].set);
		ivy_free(c, c->dir[i], IVY_LEAF * sizeof(**c->dir));
	}
	ivy_free(c, c->dir, c->nleaves * sizeof(*c->dir));
}
