// SPDX-License-Identifier: GPL-2.0-or-later
/* store_spill.c - store.h's decisions on what is spilled (spill.h): when, and when it gets wbufs. */
#include "store_priv.h"

#include "base/mutant.h"

#include <assert.h>
#include <stdlib.h>

#define TIDY_NS 1000000ull
/* Between faults, so many places that a predecessor left are looked at, and so many that are dropped are freed. */
#ifndef SPILL_STEPS
#define SPILL_STEPS 64u
#endif

static void place_adopt(struct store *s, struct spill_place *place)
{
	struct spill *p = &s->wbufs.spill;
	const struct journal_spill *d = spill_disk(p, place);
	struct inode *inode = s->env->inode(s, d->inode);

	if (!spill_adopt(p, place, inode, s->env->node(s, inode, d->chunk)))
		abort(); /* as in lane_make() */
}

/* The chunk's place, for something to be done with it: if a predecessor left it, it is adopted first. NULL:
 * there is none. */
static struct spill_place *place_find(struct store *s, const struct inode *inode, uint64_t chunk)
{
	struct spill_place *place = spill_find(&s->wbufs.spill, inode, chunk);

	if (place && !place->slot)
		place_adopt(s, place);
	return place;
}

void store_spill_begin(struct store *s)
{
	struct spill *p = &s->wbufs.spill;

	spill_begin(p, ++s->wbufs.order);
	for (unsigned nr = 0; nr < JOURNAL_INODES && !mutant("spill-lost"); nr++) {
		struct inode *inode;

		if (!p->counts[nr])
			continue;
		inode = s->env->inode(s, nr);
		spill_is_left(p, inode);
		if (s->env->disk(s, inode)->failed)
			store_spill_drop(s, inode);
	}
	/* The pages of one of these were about to move to its wbuf. */
	for (struct wbuf *wbuf = s->wbufs.wbuf; wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++) {
		struct spill_place *place = NULL;

		if (wbuf_is(&s->wbufs, wbuf) == WBUF_IS_COLLECTING)
			place = place_find(s, wbuf->inode, wbuf_disk(&s->wbufs, wbuf)->chunk);
		if (place)
			wbuf_unspill(&s->wbufs, wbuf, place);
	}
}

/* Of the inode nothing is spilled any more. */
static void inode_told(struct store *s, struct inode *inode)
{
	s->wbufs_news = s->again = true; /* others have the room, and an fsync may be over */
	if (!inode->wbufs)
		s->env->idle(s, inode);
}

static void scan_end(struct store *s)
{
	struct spill *p = &s->wbufs.spill;

	for (unsigned nr = 0; nr < JOURNAL_INODES && p->left; nr++) {
		struct inode *inode = p->counts[nr] ? s->env->inode(s, nr) : NULL;

		if (inode && spill_was_left(p, inode) && !inode->spill_dropped)
			inode_told(s, inode);
	}
}

static void scan_go_on(struct store *s)
{
	struct spill *p = &s->wbufs.spill;

	for (unsigned n = 0; n < SPILL_STEPS && p->scanning; n++) {
		struct spill_place *place = spill_scan(p, 1);

		if (!place)
			continue;
		assert(!wbufs_collecting(&s->wbufs, s->env->inode(s, spill_disk(p, place)->inode), spill_disk(p, place)->chunk));
		place_adopt(s, place);
		s->wbufs_news = s->again = true; /* it may have a wbuf */
	}
	if (!p->scanning)
		scan_end(s);
}

static void drop_go_on(struct store *s)
{
	struct spill *p = &s->wbufs.spill;
	struct inode *inode = TAILQ_FIRST(&s->dropping), *next;

	for (unsigned steps = 0; inode && steps < SPILL_STEPS; inode = next) {
		for (; inode->spill_slots && steps < SPILL_STEPS; steps++)
			spill_free(p, TAILQ_FIRST(&inode->spilled_places));
		next = TAILQ_NEXT(inode, spill_dropping);
		if (inode->spilled)
			continue; /* of what a predecessor left the scan finds more */
		TAILQ_REMOVE(&s->dropping, inode, spill_dropping);
		inode->spill_dropped = false;
		inode_told(s, inode);
	}
}

void store_spill_go_on(struct store *s)
{
	if (s->wbufs.spill.scanning)
		scan_go_on(s);
	if (!TAILQ_EMPTY(&s->dropping))
		drop_go_on(s);
}

bool store_spill_goes_on(const struct store *s)
{
	return s->wbufs.spill.scanning || !TAILQ_EMPTY(&s->dropping);
}

void store_spill_drop(struct store *s, struct inode *inode)
{
	if (!inode->spilled || inode->spill_dropped)
		return;
	inode->spill_dropped = true;
	TAILQ_INSERT_TAIL(&s->dropping, inode, spill_dropping);
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

	if (inode->spill_dropped || (!place_find(s, inode, chunk) && !is_crowded(s, node)))
		return NULL;
	return spill_open(p, inode, chunk, node, pages, ++s->wbufs.order);
}

struct wbuf *store_wbuf_open(struct store *s, struct inode *inode, uint64_t chunk)
{
	struct wbuf *wbuf = wbufs_open(&s->wbufs, inode, chunk, s->env->node(s, inode, chunk), s->env->now(s));
	struct spill_place *place = wbuf ? place_find(s, inode, chunk) : NULL;

	if (place && !mutant("spill-passed"))
		wbuf_unspill(&s->wbufs, wbuf, place);
	return wbuf;
}

static uint64_t slot_chunk(const struct store *s, const struct spill_slot *slot)
{
	return spill_disk(&s->wbufs.spill, TAILQ_FIRST(&slot->places))->chunk;
}

void store_spill_moved(struct store *s, struct inode *inode)
{
	for (unsigned i = 0; inode->spill_slots && i < SPILL_SLOTS && !mutant("spill-stays"); i++) {
		struct spill_slot *slot = &inode->spill_slots[i];
		const void *node = slot->of ? s->env->node(s, inode, slot_chunk(s, slot)) : NULL;

		if (node && !spill_follow(&s->wbufs.spill, slot, node))
			abort(); /* as in lane_make() */
	}
}

/* One wbuf for the node's chunks. Its shares take turns: the first whose inode may have one gets it. */
static bool node_try(struct store *s, struct spill_node *n)
{
	for (unsigned left = n->shares_count; left; left--) {
		struct spill_share *of = TAILQ_FIRST(&n->shares);
		struct spill_slot *slot = TAILQ_FIRST(&of->slots);
		struct wbuf *wbuf;

		TAILQ_REMOVE(&n->shares, of, in);
		TAILQ_INSERT_TAIL(&n->shares, of, in);
		TAILQ_REMOVE(&of->slots, slot, in);
		TAILQ_INSERT_TAIL(&of->slots, slot, in);
		if (of->inode->spill_dropped && !mutant("spill-undropped"))
			continue;
		wbuf = store_wbuf_open(s, of->inode, slot_chunk(s, slot)); /* may free `of` and `n` */
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
