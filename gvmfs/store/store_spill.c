// SPDX-License-Identifier: GPL-2.0-or-later
/* store_spill.c - store.h's decisions on what is spilled (spill.h): when, and when it gets slots. */
#include "store_priv.h"

#include "base/mutant.h"

#include <stdlib.h>

#define TIDY_NS 1000000ull

void store_spill_adopt(struct store *s)
{
	struct spill *p = &s->slots.spill;

	for (unsigned i = 0; i < p->end && !mutant("spill-lost"); i++) {
		struct spill_place *place = &p->place[i];
		const struct journal_spill *d = spill_disk(p, place);
		struct inode *inode;
		struct slot *slot;

		if (d->state != SPILL_TAKEN)
			continue;
		inode = s->env->inode(s, d->inode);
		if (!spill_adopt(p, place, inode, s->env->node(s, inode, d->chunk), ++s->slots.order))
			abort(); /* as in lane_make() */
		slot = slots_collecting(&s->slots, inode, d->chunk);
		if (s->env->disk(s, inode)->failed)
			spill_free(p, place);
		else if (slot)
			slot_unspill(&s->slots, slot, place);
	}
}

/* Whether so many requests wait for slots that one more, for a chunk of this node, may not. */
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
	struct spill *p = &s->slots.spill;
	const void *node = s->env->node(s, inode, chunk);

	if (!spill_find(p, inode, chunk) && !is_crowded(s, node))
		return NULL;
	return spill_open(p, inode, chunk, node, pages, ++s->slots.order);
}

struct slot *store_slot_open(struct store *s, struct inode *inode, uint64_t chunk)
{
	struct slot *slot = slots_open(&s->slots, inode, chunk, s->env->node(s, inode, chunk), s->env->now(s));
	struct spill_place *place = slot ? spill_find(&s->slots.spill, inode, chunk) : NULL;

	if (place && !mutant("spill-passed"))
		slot_unspill(&s->slots, slot, place);
	return slot;
}

void store_spill_drop(struct store *s, const struct inode *inode, uint64_t first)
{
	struct spill *p = &s->slots.spill;
	struct spill_share *of, *next;

	for (of = inode->spilled ? TAILQ_FIRST(&p->shares) : NULL; of; of = next) {
		struct spill_place *place = of->inode == inode ? TAILQ_FIRST(&of->places) : NULL, *after;

		next = TAILQ_NEXT(of, in);
		for (; place; place = after) {
			after = TAILQ_NEXT(place, in);
			if (spill_disk(p, place)->chunk < first)
				continue;
			spill_free(p, place);
			s->slots_news = s->again = true; /* others have the room, and an fsync may be over */
		}
	}
}

uint64_t store_tidy(struct store *s, uint64_t now_ns)
{
	if (TAILQ_EMPTY(&s->slots.spill.freed))
		return ~0ull;
	if (now_ns < s->tidy_ns)
		return s->tidy_ns;
	if (!spill_tidy(&s->slots.spill))
		return ~0ull;
	return s->tidy_ns = now_ns + TIDY_NS;
}
