// SPDX-License-Identifier: GPL-2.0-or-later
/* spill.c - see spill.h. */
#include "spill.h"

#include "base/mutant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Released at a time, while faults wait: what comes first. */
#define TIDY_PLACES 16u
#define TIDY_PAGES  32u
#ifndef SPILL_LOOKS
#define SPILL_LOOKS 512u /* at places or chunks, at a time: faults wait meanwhile */
#endif

/* In a bucket, and in a place's `next`: */
#define LINK_NONE  0u /* an empty bucket; the place is in none */
#define LINK_END   1u
#define LINK_FIRST 2u /* and above: a place */

static uint32_t *bucket_of(const struct spill *p, uint32_t inode, uint64_t chunk)
{
	return &p->buckets[(chunk * 31 + inode * 9973ull) % SPILL_BUCKETS];
}

static struct spill_place *place_of(const struct spill *p, uint32_t link)
{
	return (struct spill_place *)&p->place[link - LINK_FIRST];
}

struct spill_place *spill_find(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	uint32_t link = inode->spilled && !inode->spill_dropped ? *bucket_of(p, inode->nr, chunk) : LINK_END;

	while (link >= LINK_FIRST) {
		const struct journal_spill *d = &p->disk[link - LINK_FIRST];

		if (d->state == SPILL_TAKEN && d->inode == inode->nr && d->chunk == chunk)
			return place_of(p, link);
		link = d->next;
	}
	return NULL;
}

static void bucket_enter(struct spill *p, struct spill_place *place)
{
	struct journal_spill *d = spill_disk(p, place);
	uint32_t *bucket = bucket_of(p, d->inode, d->chunk);

	assert(d->next == LINK_NONE);
	p->mark32(&d->next, *bucket == LINK_NONE ? LINK_END : *bucket);
	p->mark32(bucket, (uint32_t)(place - p->place) + LINK_FIRST);
}

/* If it is in one. */
static void bucket_leave(struct spill *p, struct spill_place *place)
{
	struct journal_spill *d = spill_disk(p, place);
	uint32_t *link = bucket_of(p, d->inode, d->chunk), own = (uint32_t)(place - p->place) + LINK_FIRST;

	while (*link >= LINK_FIRST && *link != own)
		link = &p->disk[*link - LINK_FIRST].next;
	if (*link == own)
		p->mark32(link, d->next);
	p->mark32(&d->next, LINK_NONE);
}

uint64_t spill_next_chunk(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	const struct spill_place *place;
	uint64_t best = ~0ull, end = chunk + SPILL_LOOKS;

	if (inode->spill_dropped)
		return best;
	if (inode->spilled > SPILL_LOOKS || inode->spill_left) {
		while (chunk < end && !spill_find(p, inode, chunk))
			chunk++;
		return chunk;
	}
	if (!inode->spilled)
		return best;
	TAILQ_FOREACH(place, &inode->spilled_places, age) {
		uint64_t at = spill_disk(p, place)->chunk;

		if (at >= chunk && at < best)
			best = at;
	}
	return best;
}

uint64_t spill_oldest(const struct spill *p, const struct inode *inode)
{
	if (inode->spill_left && !mutant("spill-left-unsynced"))
		return p->left_order;
	return inode->spill_slots && !mutant("spill-unsynced") ? TAILQ_FIRST(&inode->spilled_places)->order : ~0ull;
}

void spill_begin(struct spill *p, uint64_t left_order)
{
	TAILQ_INIT(&p->free);
	TAILQ_INIT(&p->freed);
	TAILQ_INIT(&p->nodes);
	p->left_order = left_order;
	p->scanning = true;
}

void spill_is_left(struct spill *p, struct inode *inode)
{
	unsigned count = p->counts[inode->nr];

	assert(!inode->spilled && p->scanning);
	inode->spilled = inode->spill_left = count;
	inode->wbufs += count;
	p->count += count;
	p->left += count;
}

/* ---- shares */

static struct spill_node *node_find(const struct spill *p, const void *node)
{
	struct spill_node *n;

	TAILQ_FOREACH(n, &p->nodes, in)
		if (n->node == node)
			break;
	return n;
}

static struct spill_node *node_make(struct spill *p, const void *node)
{
	struct spill_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->node = node;
	TAILQ_INIT(&n->shares);
	TAILQ_INSERT_TAIL(&p->nodes, n, in);
	return n;
}

static void node_tidy(struct spill *p, struct spill_node *n)
{
	if (!TAILQ_EMPTY(&n->shares))
		return;
	assert(!n->count && !n->pages && !n->shares_count);
	TAILQ_REMOVE(&p->nodes, n, in);
	free(n);
}

static struct spill_share *share_find(const struct inode *inode, const void *node)
{
	struct spill_share *of;

	LIST_FOREACH(of, &inode->spill_shares, of_inode)
		if (of->node->node == node)
			break;
	return of;
}

/* Finds or makes the share; a new one has no slots yet. NULL: no memory. */
static struct spill_share *share_get(struct spill *p, struct inode *inode, const void *node)
{
	struct spill_share *of = share_find(inode, node);
	struct spill_node *n = of ? of->node : node_find(p, node);

	if (of || (!n && !(n = node_make(p, node))))
		return of;
	of = calloc(1, sizeof(*of));
	if (!of) {
		node_tidy(p, n);
		return NULL;
	}
	of->inode = inode;
	of->node = n;
	TAILQ_INIT(&of->slots);
	TAILQ_INSERT_TAIL(&n->shares, of, in);
	n->shares_count++;
	LIST_INSERT_HEAD(&inode->spill_shares, of, of_inode);
	return of;
}

static void share_tidy(struct spill *p, struct spill_share *of)
{
	struct spill_node *n = of->node;

	if (!TAILQ_EMPTY(&of->slots))
		return;
	TAILQ_REMOVE(&n->shares, of, in);
	n->shares_count--;
	LIST_REMOVE(of, of_inode);
	free(of);
	node_tidy(p, n);
}

/* ---- slots */

static void node_count(struct spill_node *n, int count, int pages)
{
	n->count += (unsigned)count;
	n->pages += (uint64_t)pages;
}

static void slot_enter(struct spill_slot *slot, struct spill_share *of)
{
	slot->of = of;
	TAILQ_INSERT_TAIL(&of->slots, slot, in);
	node_count(of->node, (int)slot->count, (int)slot->pages);
}

static void slot_leave(struct spill *p, struct spill_slot *slot)
{
	struct spill_share *of = slot->of;

	slot->of = NULL;
	TAILQ_REMOVE(&of->slots, slot, in);
	node_count(of->node, -(int)slot->count, -(int)slot->pages);
	share_tidy(p, of);
}

static void slot_count(struct spill *p, struct spill_slot *slot, int count, int pages)
{
	slot->count += (unsigned)count;
	slot->pages += (unsigned)pages;
	node_count(slot->of->node, count, pages);
	p->pages += (uint64_t)pages;
	assert(p->count >= slot->of->node->count && p->pages >= slot->of->node->pages &&
	       slot->of->node->pages >= slot->pages);
}

/* Of those that are not left from a predecessor. */
static void slots_tidy(struct inode *inode)
{
	if (inode->spilled != inode->spill_left)
		return;
	free(inode->spill_slots);
	inode->spill_slots = NULL;
}

/* Finds or makes the slot, in the share of that node if it is new: it has no places yet then. NULL: no memory. */
static struct spill_slot *slot_get(struct spill *p, struct inode *inode, uint64_t chunk, const void *node)
{
	struct spill_share *of;
	struct spill_slot *slot;

	if (!inode->spill_slots) {
		inode->spill_slots = calloc(SPILL_SLOTS, sizeof(*slot));
		TAILQ_INIT(&inode->spilled_places);
	}
	if (!inode->spill_slots)
		return NULL;
	slot = &inode->spill_slots[chunk % SPILL_SLOTS];
	if (slot->of)
		return slot;
	of = share_get(p, inode, node);
	if (!of) {
		slots_tidy(inode);
		return NULL;
	}
	TAILQ_INIT(&slot->places);
	slot->count = slot->pages = 0;
	slot_enter(slot, of);
	return slot;
}

bool spill_follow(struct spill *p, struct spill_slot *slot, const void *node)
{
	struct spill_share *to = share_get(p, slot->of->inode, node);

	if (!to)
		return false;
	if (to != slot->of) {
		slot_leave(p, slot);
		slot_enter(slot, to);
	}
	return true;
}

/* Whether the node's chunks may have so many more. */
static bool has_room(const struct spill *p, const struct spill_node *n, unsigned count, unsigned pages)
{
	uint64_t all_count = p->count + p->left + count + (n ? n->count : 0);
	uint64_t all_pages = p->pages + 2ull * GVM_CHUNK_PAGES * p->left + pages + (n ? n->pages : 0);

	return (!count || all_count <= JOURNAL_SPILL) && (!pages || all_pages <= p->pages_max);
}

/* ---- places */

static unsigned count_of(uint32_t pages)
{
	return (unsigned)__builtin_popcount(pages);
}

static void count_set(struct spill *p, const struct inode *inode, int by)
{
	p->mark32(&p->counts[inode->nr], p->counts[inode->nr] + (uint32_t)by);
}

/* Counts it with those of its node. */
static void place_enter(struct spill *p, struct spill_place *place, struct spill_slot *slot, uint64_t order)
{
	place->slot = slot;
	place->order = order;
	TAILQ_INSERT_TAIL(&slot->places, place, in);
	slot_count(p, slot, 1, (int)count_of(spill_disk(p, place)->pages));
}

bool spill_adopt(struct spill *p, struct spill_place *place, struct inode *inode, const void *node)
{
	const struct journal_spill *d = spill_disk(p, place);
	struct spill_slot *slot = slot_get(p, inode, d->chunk, node);

	assert(d->state == SPILL_TAKEN && d->inode == inode->nr && !place->slot && p->left && inode->spill_left);
	if (!slot)
		return false;
	p->left--;
	inode->spill_left--;
	place->seen = true;
	place_enter(p, place, slot, p->left_order);
	TAILQ_INSERT_HEAD(&inode->spilled_places, place, age);
	return true;
}

/* What is not TAKEN. */
static void place_scan(struct spill *p, struct spill_place *place)
{
	struct journal_spill *d = spill_disk(p, place);

	if (d->next != LINK_NONE && !mutant("spill-left-linked"))
		bucket_leave(p, place);
	if (d->pages)
		TAILQ_INSERT_TAIL(&p->freed, place, in);
	else
		TAILQ_INSERT_TAIL(&p->free, place, in);
}

struct spill_place *spill_scan(struct spill *p, unsigned looks)
{
	for (; looks && p->scanning; looks--) {
		struct spill_place *place = &p->place[p->end];

		/* Places are taken from the first on. */
		if (p->end == JOURNAL_SPILL || !spill_disk(p, place)->used) {
			p->scanning = false;
			break;
		}
		p->end++;
		if (place->seen)
			continue;
		if (spill_disk(p, place)->state == SPILL_TAKEN)
			return place;
		place_scan(p, place);
	}
	return NULL;
}

bool spill_was_left(struct spill *p, struct inode *inode)
{
	unsigned none = inode->spill_left;

	assert(!p->scanning && none <= p->left);
	if (!none)
		return false;
	inode->spill_left = 0;
	inode->spilled -= none;
	inode->wbufs -= none;
	p->left -= none;
	p->count -= none;
	count_set(p, inode, -(int)none);
	return true;
}

/* A FREE one, and the list that it is on; NULL: on none. */
static struct spill_place *place_free(struct spill *p, struct spill_places **list)
{
	*list = !TAILQ_EMPTY(&p->free) ? &p->free : !p->scanning && p->end < JOURNAL_SPILL ? NULL : &p->freed;
	return *list ? TAILQ_FIRST(*list) : &p->place[p->end];
}

static struct spill_place *place_take(struct spill *p, struct inode *inode, uint64_t chunk, const void *node,
				       uint64_t order)
{
	struct spill_places *list;
	struct spill_place *place = place_free(p, &list);
	struct spill_slot *slot = place ? slot_get(p, inode, chunk, node) : NULL;
	struct journal_spill *d;

	if (!slot)
		return NULL;
	d = spill_disk(p, place);
	assert(d->state == SPILL_FREE && !place->slot);
	if (list)
		TAILQ_REMOVE(list, place, in);
	else
		p->end++;
	d->used = 1;
	d->inode = inode->nr;
	d->chunk = chunk;
	p->mark32(&d->pages, 0);
	bucket_enter(p, place);
	count_set(p, inode, 1);
	p->mark32(&d->state, SPILL_TAKEN);
	inode->spilled++;
	inode->wbufs++;
	p->count++;
	assert(order > p->left_order && (TAILQ_EMPTY(&inode->spilled_places) ||
					 order > TAILQ_LAST(&inode->spilled_places, spill_places)->order));
	place_enter(p, place, slot, order);
	TAILQ_INSERT_TAIL(&inode->spilled_places, place, age);
	return place;
}

struct spill_place *spill_open(struct spill *p, struct inode *inode, uint64_t chunk, const void *node, uint32_t pages,
				 uint64_t order)
{
	struct spill_place *place = spill_find(p, inode, chunk);

	if (place)
		return has_room(p, place->slot->of->node, 0, count_of(pages & ~spill_disk(p, place)->pages)) ? place : NULL;
	return has_room(p, node_find(p, node), 1, count_of(pages)) ? place_take(p, inode, chunk, node, order) : NULL;
}

void spill_complete(struct spill *p, struct spill_place *place, unsigned page, const uint8_t *content)
{
	uint8_t *at = spill_data(p, place) + page * GVM_PAGE_BYTES;

	assert(place->slot && page < GVM_CHUNK_PAGES);
	if (content != at)
		memcpy(at, content, GVM_PAGE_BYTES);
}

void spill_write(struct spill *p, struct spill_place *place, uint32_t from, uint32_t to, const uint8_t *data)
{
	struct journal_spill *d = spill_disk(p, place);
	unsigned first = from / GVM_PAGE_BYTES, last = (to - 1) / GVM_PAGE_BYTES;
	uint32_t pages = (uint32_t)(((1ull << (last - first + 1)) - 1) << first);

	assert(d->state == SPILL_TAKEN && place->slot && from < to && to <= GVM_CHUNK_BYTES);
	slot_count(p, place->slot, 0, (int)count_of(pages & ~d->pages));
	memcpy(spill_data(p, place) + from, data, to - from);
	p->mark32(&d->pages, d->pages | pages);
}

void spill_free(struct spill *p, struct spill_place *place)
{
	struct journal_spill *d = spill_disk(p, place);
	struct spill_slot *slot = place->slot;
	struct inode *inode = slot->of->inode;

	assert(d->state == SPILL_TAKEN && inode->spilled > inode->spill_left &&
	       inode->wbufs >= inode->spilled && p->count > p->left &&
	       p->counts[inode->nr] >= inode->spilled);
	p->mark32(&d->state, SPILL_FREE);
	bucket_leave(p, place);
	count_set(p, inode, -1);
	slot_count(p, slot, -1, -(int)count_of(d->pages));
	p->count--;
	inode->spilled--;
	inode->wbufs--;
	TAILQ_REMOVE(&inode->spilled_places, place, age);
	TAILQ_REMOVE(&slot->places, place, in);
	place->slot = NULL;
	if (TAILQ_EMPTY(&slot->places))
		slot_leave(p, slot);
	slots_tidy(inode);
	TAILQ_INSERT_TAIL(&p->freed, place, in);
}

bool spill_tidy(struct spill *p)
{
	struct spill_place *place;
	unsigned pages = 0;

	for (unsigned i = 0; i < TIDY_PLACES && pages < TIDY_PAGES && (place = TAILQ_FIRST(&p->freed)); i++) {
		assert(spill_disk(p, place)->state == SPILL_FREE && !place->slot);
		pages += count_of(spill_disk(p, place)->pages);
		TAILQ_REMOVE(&p->freed, place, in);
		p->release(spill_data(p, place));
		p->mark32(&spill_disk(p, place)->pages, 0);
		TAILQ_INSERT_HEAD(&p->free, place, in);
	}
	return !TAILQ_EMPTY(&p->freed);
}
