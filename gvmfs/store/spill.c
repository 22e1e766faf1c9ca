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

static unsigned bucket_of(const struct inode *inode, uint64_t chunk)
{
	return (unsigned)((chunk * 31 + inode->nr * 9973ull) % SPILL_BUCKETS);
}

struct spill_place *spill_find(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	struct spill_place *place = inode->spilled ? LIST_FIRST(&p->buckets[bucket_of(inode, chunk)]) : NULL;

	while (place && (place->of->inode != inode || spill_disk(p, place)->chunk != chunk))
		place = LIST_NEXT(place, bucket);
	return place;
}

uint64_t spill_next_chunk(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	const struct spill_place *place;
	uint64_t best = ~0ull, end = chunk + SPILL_LOOKS;

	if (inode->spilled > SPILL_LOOKS) {
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

uint64_t spill_oldest(const struct inode *inode)
{
	return inode->spilled && !mutant("spill-unsynced") ? TAILQ_FIRST(&inode->spilled_places)->order : ~0ull;
}

void spill_begin(struct spill *p)
{
	TAILQ_INIT(&p->free);
	TAILQ_INIT(&p->freed);
	TAILQ_INIT(&p->nodes);
	/* Places are taken from the first on, and one that was used has pages until its memory is released. */
	for (unsigned i = 0; i < JOURNAL_SPILL; i++) {
		const struct journal_spill *d = &p->disk[i];

		if (d->state == SPILL_FREE && d->pages)
			TAILQ_INSERT_TAIL(&p->freed, &p->place[i], in);
		if (d->state == SPILL_FREE && !d->pages && d->used)
			TAILQ_INSERT_TAIL(&p->free, &p->place[i], in);
		if (!d->used)
			break;
		p->end = i + 1;
	}
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

/* Finds or makes the share; a new one has no places yet. NULL: no memory. */
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
	TAILQ_INIT(&of->places);
	TAILQ_INSERT_TAIL(&n->shares, of, in);
	n->shares_count++;
	LIST_INSERT_HEAD(&inode->spill_shares, of, of_inode);
	return of;
}

static void node_count(struct spill_node *n, int count, int pages)
{
	n->count += (unsigned)count;
	n->pages += (uint64_t)pages;
}

static void share_count(struct spill *p, struct spill_share *of, int count, int pages)
{
	node_count(of->node, count, pages);
	of->inode->spilled += (unsigned)count;
	of->inode->wbufs += (unsigned)count;
	p->count += (unsigned)count;
	p->pages += (uint64_t)pages;
	assert(p->count <= p->end && p->count >= of->node->count && p->pages >= of->node->pages &&
	       of->inode->wbufs >= of->inode->spilled);
}

/* Takes the place, which is counted elsewhere, or nowhere, by now, out of its share. */
static void share_leave(struct spill *p, struct spill_place *place)
{
	struct spill_share *of = place->of;
	struct spill_node *n = of->node;

	TAILQ_REMOVE(&of->places, place, in);
	place->of = NULL;
	if (!TAILQ_EMPTY(&of->places))
		return;
	TAILQ_REMOVE(&n->shares, of, in);
	n->shares_count--;
	LIST_REMOVE(of, of_inode);
	free(of);
	node_tidy(p, n);
}

/* Whether the node's chunks may have so many more. */
static bool has_room(const struct spill *p, const struct spill_node *n, unsigned count, unsigned pages)
{
	uint64_t all_count = p->count + count + (n ? n->count : 0), all_pages = p->pages + pages + (n ? n->pages : 0);

	return (!count || all_count <= JOURNAL_SPILL) && (!pages || all_pages <= p->pages_max);
}

/* ---- places */

static unsigned count_of(uint32_t pages)
{
	return (unsigned)__builtin_popcount(pages);
}

/* Makes the place findable by its chunk. */
static bool place_insert(struct spill *p, struct spill_place *place, struct inode *inode, const void *node,
			 uint64_t order)
{
	struct spill_share *of = share_get(p, inode, node);

	if (!of)
		return false;
	if (!inode->spilled)
		TAILQ_INIT(&inode->spilled_places);
	assert(!inode->spilled || order > TAILQ_LAST(&inode->spilled_places, spill_places)->order);
	place->of = of;
	place->order = order;
	LIST_INSERT_HEAD(&p->buckets[bucket_of(inode, spill_disk(p, place)->chunk)], place, bucket);
	TAILQ_INSERT_TAIL(&of->places, place, in);
	TAILQ_INSERT_TAIL(&inode->spilled_places, place, age);
	share_count(p, of, 1, (int)count_of(spill_disk(p, place)->pages));
	return true;
}

bool spill_adopt(struct spill *p, struct spill_place *place, struct inode *inode, const void *node, uint64_t order)
{
	assert(spill_disk(p, place)->state == SPILL_TAKEN && spill_disk(p, place)->inode == inode->nr);
	return place_insert(p, place, inode, node, order);
}

/* A FREE one, and the list that it is on; NULL: on none. */
static struct spill_place *place_free(struct spill *p, struct spill_places **list)
{
	*list = !TAILQ_EMPTY(&p->free) ? &p->free : p->end < JOURNAL_SPILL ? NULL : &p->freed;
	return *list ? TAILQ_FIRST(*list) : &p->place[p->end];
}

static struct spill_place *place_take(struct spill *p, struct inode *inode, uint64_t chunk, const void *node,
				       uint64_t order)
{
	struct spill_places *list;
	struct spill_place *place = place_free(p, &list);
	struct journal_spill *d;

	if (!place)
		return NULL;
	d = spill_disk(p, place);
	assert(d->state == SPILL_FREE && !place->of);
	if (list)
		TAILQ_REMOVE(list, place, in);
	else
		p->end++;
	d->used = 1;
	d->inode = inode->nr;
	d->chunk = chunk;
	p->mark32(&d->pages, 0);
	if (!place_insert(p, place, inode, node, order)) {
		TAILQ_INSERT_HEAD(&p->free, place, in);
		return NULL;
	}
	p->mark32(&d->state, SPILL_TAKEN);
	return place;
}

struct spill_place *spill_open(struct spill *p, struct inode *inode, uint64_t chunk, const void *node, uint32_t pages,
				 uint64_t order)
{
	struct spill_place *place = spill_find(p, inode, chunk);

	if (place)
		return has_room(p, place->of->node, 0, count_of(pages & ~spill_disk(p, place)->pages)) ? place : NULL;
	return has_room(p, node_find(p, node), 1, count_of(pages)) ? place_take(p, inode, chunk, node, order) : NULL;
}

void spill_complete(struct spill *p, struct spill_place *place, unsigned page, const uint8_t *content)
{
	uint8_t *at = spill_data(p, place) + page * GVM_PAGE_BYTES;

	assert(place->of && page < GVM_CHUNK_PAGES);
	if (content != at)
		memcpy(at, content, GVM_PAGE_BYTES);
}

void spill_write(struct spill *p, struct spill_place *place, uint32_t from, uint32_t to, const uint8_t *data)
{
	struct journal_spill *d = spill_disk(p, place);
	unsigned first = from / GVM_PAGE_BYTES, last = (to - 1) / GVM_PAGE_BYTES;
	uint32_t pages = (uint32_t)(((1ull << (last - first + 1)) - 1) << first);

	assert(d->state == SPILL_TAKEN && place->of && from < to && to <= GVM_CHUNK_BYTES);
	share_count(p, place->of, 0, (int)count_of(pages & ~d->pages));
	memcpy(spill_data(p, place) + from, data, to - from);
	p->mark32(&d->pages, d->pages | pages);
}

bool spill_move(struct spill *p, struct spill_place *place, const void *node)
{
	struct spill_share *to = share_get(p, place->of->inode, node);
	int pages = (int)count_of(spill_disk(p, place)->pages);

	if (!to)
		return false;
	assert(to != place->of);
	node_count(place->of->node, -1, -pages);
	share_leave(p, place);
	node_count(to->node, 1, pages);
	place->of = to;
	TAILQ_INSERT_TAIL(&to->places, place, in);
	return true;
}

void spill_free(struct spill *p, struct spill_place *place)
{
	struct journal_spill *d = spill_disk(p, place);
	struct inode *inode = place->of->inode;

	assert(d->state == SPILL_TAKEN && inode->spilled && p->count && p->pages >= count_of(d->pages));
	LIST_REMOVE(place, bucket);
	p->mark32(&d->state, SPILL_FREE);
	share_count(p, place->of, -1, -(int)count_of(d->pages));
	TAILQ_REMOVE(&inode->spilled_places, place, age);
	share_leave(p, place);
	TAILQ_INSERT_TAIL(&p->freed, place, in);
}

bool spill_tidy(struct spill *p)
{
	struct spill_place *place;
	unsigned pages = 0;

	for (unsigned i = 0; i < TIDY_PLACES && pages < TIDY_PAGES && (place = TAILQ_FIRST(&p->freed)); i++) {
		assert(spill_disk(p, place)->state == SPILL_FREE && !place->of);
		pages += count_of(spill_disk(p, place)->pages);
		TAILQ_REMOVE(&p->freed, place, in);
		p->release(spill_data(p, place));
		p->mark32(&spill_disk(p, place)->pages, 0);
		TAILQ_INSERT_HEAD(&p->free, place, in);
	}
	return !TAILQ_EMPTY(&p->freed);
}
