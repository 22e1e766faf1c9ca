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

static struct spill_place **bucket_of(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	return (struct spill_place **)&p->buckets[(chunk * 31 + inode->nr * 97) % SPILL_BUCKETS];
}

struct spill_place *spill_find(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	struct spill_place *place = inode->spilled ? *bucket_of(p, inode, chunk) : NULL;

	while (place && (place->inode != inode || spill_disk(p, place)->chunk != chunk))
		place = place->next;
	return place;
}

uint64_t spill_next_chunk(const struct spill *p, const struct inode *inode, uint64_t chunk)
{
	const struct spill_share *of;
	uint64_t best = ~0ull, end = chunk + SPILL_LOOKS;

	if (inode->spilled > SPILL_LOOKS) {
		while (chunk < end && !spill_find(p, inode, chunk))
			chunk++;
		return chunk;
	}
	TAILQ_FOREACH(of, &p->shares, in) {
		const struct spill_place *place;

		if (of->inode != inode)
			continue;
		TAILQ_FOREACH(place, &of->places, in) {
			uint64_t at = spill_disk(p, place)->chunk;

			if (at >= chunk && at < best)
				best = at;
		}
	}
	return best;
}

uint64_t spill_oldest(const struct spill *p, const struct inode *inode)
{
	const struct spill_share *of;
	uint64_t oldest = ~0ull;

	TAILQ_FOREACH(of, &p->shares, in)
		if (of->inode == inode && TAILQ_FIRST(&of->places)->order < oldest)
			oldest = TAILQ_FIRST(&of->places)->order;
	return mutant("spill-unsynced") ? ~0ull : oldest;
}

void spill_begin(struct spill *p)
{
	TAILQ_INIT(&p->free);
	TAILQ_INIT(&p->freed);
	TAILQ_INIT(&p->shares);
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

static struct spill_share *share_find(const struct spill *p, const struct inode *inode, const void *node)
{
	struct spill_share *of;

	TAILQ_FOREACH(of, &p->shares, in)
		if (of->inode == inode && of->node == node)
			break;
	return of;
}

static struct spill_share *share_make(struct spill *p, struct inode *inode, const void *node)
{
	struct spill_share *of = calloc(1, sizeof(*of));

	if (!of)
		return NULL;
	of->inode = inode;
	of->node = node;
	TAILQ_INIT(&of->places);
	TAILQ_INSERT_TAIL(&p->shares, of, in);
	return of;
}

static void share_count(struct spill *p, struct spill_share *of, int count, int pages)
{
	of->count += (unsigned)count;
	of->pages += (uint64_t)pages;
	of->inode->spilled += (unsigned)count;
	of->inode->slots += (unsigned)count;
	p->count += (unsigned)count;
	p->pages += (uint64_t)pages;
}

/* Whether the node's chunks may have so many more. */
static bool has_room(const struct spill *p, const void *node, unsigned count, unsigned pages)
{
	uint64_t all_count = p->count + count, all_pages = p->pages + pages;
	const struct spill_share *of;

	TAILQ_FOREACH(of, &p->shares, in)
		if (of->node == node) {
			all_count += of->count;
			all_pages += of->pages;
		}
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
	struct spill_share *of = share_find(p, inode, node);
	struct spill_place **bucket = bucket_of(p, inode, spill_disk(p, place)->chunk);

	if (!of && !(of = share_make(p, inode, node)))
		return false;
	place->inode = inode;
	place->of = of;
	place->order = order;
	place->next = *bucket;
	*bucket = place;
	TAILQ_INSERT_TAIL(&of->places, place, in);
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
	return has_room(p, node, 1, count_of(pages)) ? place_take(p, inode, chunk, node, order) : NULL;
}

void spill_complete(struct spill *p, struct spill_place *place, unsigned page, const uint8_t *content)
{
	uint8_t *at = spill_data(p, place) + page * GVM_PAGE_BYTES;

	if (content != at)
		memcpy(at, content, GVM_PAGE_BYTES);
}

void spill_write(struct spill *p, struct spill_place *place, uint32_t from, uint32_t to, const uint8_t *data)
{
	struct journal_spill *d = spill_disk(p, place);
	unsigned first = from / GVM_PAGE_BYTES, last = (to - 1) / GVM_PAGE_BYTES;
	uint32_t pages = (uint32_t)(((1ull << (last - first + 1)) - 1) << first);

	assert(d->state == SPILL_TAKEN && from < to && to <= GVM_CHUNK_BYTES);
	share_count(p, place->of, 0, (int)count_of(pages & ~d->pages));
	memcpy(spill_data(p, place) + from, data, to - from);
	p->mark32(&d->pages, d->pages | pages);
}

void spill_free(struct spill *p, struct spill_place *place)
{
	struct journal_spill *d = spill_disk(p, place);
	struct spill_place **link = bucket_of(p, place->inode, d->chunk);
	struct spill_share *of = place->of;

	assert(d->state == SPILL_TAKEN);
	while (*link != place)
		link = &(*link)->next;
	*link = place->next;
	p->mark32(&d->state, SPILL_FREE);
	share_count(p, of, -1, -(int)count_of(d->pages));
	TAILQ_REMOVE(&of->places, place, in);
	TAILQ_INSERT_TAIL(&p->freed, place, in);
	place->inode = NULL;
	place->of = NULL;
	if (!TAILQ_EMPTY(&of->places))
		return;
	TAILQ_REMOVE(&p->shares, of, in);
	free(of);
}

bool spill_tidy(struct spill *p)
{
	struct spill_place *place;
	unsigned pages = 0;

	for (unsigned i = 0; i < TIDY_PLACES && pages < TIDY_PAGES && (place = TAILQ_FIRST(&p->freed)); i++) {
		pages += count_of(spill_disk(p, place)->pages);
		TAILQ_REMOVE(&p->freed, place, in);
		p->release(spill_data(p, place));
		p->mark32(&spill_disk(p, place)->pages, 0);
		TAILQ_INSERT_HEAD(&p->free, place, in);
	}
	return !TAILQ_EMPTY(&p->freed);
}
