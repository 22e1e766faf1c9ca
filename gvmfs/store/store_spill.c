// SPDX-License-Identifier: GPL-2.0-or-later
/* store_spill.c - store.h's decisions on what is spilled (spill.h): when, and when it gets wbufs. */
#include "store_priv.h"

#include "base/mutant.h"

#include <stdlib.h>

#define TIDY_NS 1000000ull
/* A look at all places, so many at a time; and how many are seen to have moved while a wbuf is given. */
#ifndef LOOK_PLACES
#define LOOK_PLACES 256u
#endif
#define LOOK_NS	      1000000ull
#define LOOK_AGAIN_NS 1000000000ull
#ifndef MOVES_MAX
#define MOVES_MAX 64u
#endif

void store_spill_adopt(struct store *s)
{
	struct spill *p = &s->wbufs.spill;

	for (unsigned i = 0; i < p->end && !mutant("spill-lost"); i++) {
		struct spill_place *place = &p->place[i];
		const struct journal_spill *d = spill_disk(p, place);
		struct inode *inode;
		struct wbuf *wbuf;

		if (d->state != SPILL_TAKEN)
			continue;
		inode = s->env->inode(s, d->inode);
		if (!spill_adopt(p, place, inode, s->env->node(s, inode, d->chunk), ++s->wbufs.order))
			abort(); /* as in lane_make() */
		wbuf = wbufs_collecting(&s->wbufs, inode, d->chunk);
		if (s->env->disk(s, inode)->failed)
			spill_free(p, place);
		else if (wbuf)
			wbuf_unspill(&s->wbufs, wbuf, place);
	}
}

/* Whether so many requests wait for wbufs that one more, for a chunk of this node, may not. */
static bool is_crowded(const struct store *s, const void *node)
{
	const struct store_lane *lane;
	unsigned n = 1;

	TAILQ_FOREACH(lane, &s->stalled, in)
		n += lane->nodes[0] == node ? 2 * lane->count : lane->count;
	return n > STORE_STALLED;
}

struct spill_place *store_spill(struct store *s, struct inode *inode, uint64_t chunk, uint32_t pages)
{
	struct spill *p = &s->wbufs.spill;
	const void *node = s->env->node(s, inode, chunk);

	if (!spill_find(p, inode, chunk) && !is_crowded(s, node))
		return NULL;
	return spill_open(p, inode, chunk, node, pages, ++s->wbufs.order);
}

struct wbuf *store_wbuf_open(struct store *s, struct inode *inode, uint64_t chunk)
{
	struct wbuf *wbuf = wbufs_open(&s->wbufs, inode, chunk, s->env->node(s, inode, chunk), s->env->now(s));
	struct spill_place *place = wbuf ? spill_find(&s->wbufs.spill, inode, chunk) : NULL;

	if (place && !mutant("spill-passed"))
		wbuf_unspill(&s->wbufs, wbuf, place);
	return wbuf;
}

void store_spill_drop(struct store *s, const struct inode *inode, uint64_t first)
{
	struct spill *p = &s->wbufs.spill;
	struct spill_place *place, *next;

	for (place = inode->spilled ? TAILQ_FIRST(&inode->spilled_places) : NULL; place; place = next) {
		next = TAILQ_NEXT(place, age);
		if (spill_disk(p, place)->chunk < first)
			continue;
		spill_free(p, place);
		s->wbufs_news = s->again = true; /* others have the room, and an fsync may be over */
	}
}

/* If the place's chunk is on another node by now the place moves there. (Without memory: later.) */
static bool place_moves(struct store *s, struct spill_place *place)
{
	const void *node = s->env->node(s, place->of->inode, spill_disk(&s->wbufs.spill, place)->chunk);

	if (node == place->of->node->node || !spill_move(&s->wbufs.spill, place, node))
		return false;
	s->spill_moved = true;
	return true;
}

/* One wbuf for the node's chunks. Its shares take turns: the first whose inode may have one gets it. */
static bool node_try(struct store *s, struct spill_node *n)
{
	for (unsigned left = n->shares_count, moved = 0; left && moved < MOVES_MAX;) {
		struct spill_share *of = TAILQ_FIRST(&n->shares);
		struct spill_place *place = TAILQ_FIRST(&of->places);
		bool last = n->count == 1;
		struct wbuf *wbuf;

		if (place_moves(s, place)) {
			if (last)
				return false; /* the node is gone */
			moved++;
			left = n->shares_count;
			continue;
		}
		TAILQ_REMOVE(&n->shares, of, in);
		TAILQ_INSERT_TAIL(&n->shares, of, in);
		left--;
		wbuf = store_wbuf_open(s, of->inode, spill_disk(&s->wbufs.spill, place)->chunk); /* may free `of` and `n` */
		if (!wbuf && mutant("spill-head-blocks"))
			return false;
		if (!wbuf)
			continue;
		store_seal(s, wbuf);
		return true;
	}
	return false;
}

bool store_spill_try(struct store *s)
{
	struct spill_node *n, *next;
	bool some = false;

	for (n = mutant("spill-untold") ? NULL : TAILQ_FIRST(&s->wbufs.spill.nodes); n; n = next) {
		next = TAILQ_NEXT(n, in);
		some |= wbufs_node_allows(&s->wbufs, n->node) && node_try(s, n);
	}
	return some;
}

uint64_t store_spill_look(struct store *s, uint64_t now_ns)
{
	struct spill *p = &s->wbufs.spill;

	if (p->count && now_ns >= s->look_ns && !mutant("spill-moved-unseen")) {
		for (unsigned n = 0; n < LOOK_PLACES && p->look < p->end; n++, p->look++)
			if (p->place[p->look].of)
				place_moves(s, &p->place[p->look]);
		s->look_ns = now_ns + (p->look < p->end ? LOOK_NS : LOOK_AGAIN_NS);
		p->look = p->look < p->end ? p->look : 0;
	}
	if (s->spill_moved) {
		s->spill_moved = false;
		s->wbufs_news = s->again = true; /* other nodes' chunks may have wbufs */
	}
	return p->count ? s->look_ns : ~0ull;
}

uint64_t store_tidy(struct store *s, uint64_t now_ns)
{
	if (TAILQ_EMPTY(&s->wbufs.spill.freed))
		return ~0ull;
	if (now_ns < s->tidy_ns)
		return s->tidy_ns;
	if (!spill_tidy(&s->wbufs.spill))
		return ~0ull;
	return s->tidy_ns = now_ns + TIDY_NS;
}
