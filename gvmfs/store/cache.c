// SPDX-License-Identifier: GPL-2.0-or-later
/* cache.c - see cache.h. */
#include "cache.h"

#include "base/mutant.h"

#include <assert.h>

static struct cache_entry **bucket_of(struct cache *c, const struct inode *inode, uint64_t chunk)
{
	return &c->buckets[(chunk * 31 + inode->nr * 97) % CACHE_BUCKETS];
}

void cache_begin(struct cache *c, struct store *store, uint8_t *data)
{
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		c->entries[i].store = store;
		c->entries[i].data = data + (size_t)i * GVM_CHUNK_BYTES;
		TAILQ_INIT(&c->entries[i].links);
	}
}

struct cache_entry *cache_find(struct cache *c, const struct inode *inode, uint64_t chunk)
{
	struct cache_entry *e = *bucket_of(c, inode, chunk);

	while (e && (e->inode != inode || e->chunk != chunk))
		e = e->next;
	return e;
}

bool cache_is_free(const struct cache_entry *e)
{
	return !e->fetching && TAILQ_EMPTY(&e->links);
}

unsigned cache_count_free(const struct cache *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CACHE_ENTRIES; i++)
		n += cache_is_free(&c->entries[i]);
	return n;
}

bool cache_allow(const struct cache *c, const struct inode *inode, const void *const nodes[2], unsigned count)
{
	unsigned n = cache_count_free(c), of_inode = 0, of_node[2] = { 0, 0 };

	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		const struct cache_entry *e = &c->entries[i];

		if (cache_is_free(e))
			continue;
		/* Chunks that are only prefetched do not count against a READ of the same file. */
		of_inode += e->inode == inode && !(e->ahead && TAILQ_EMPTY(&e->links));
		/* A chunk that is here, but kept by a READ that waits for another node, does not count
		 * against its node. */
		if (!e->fetching && !mutant("pinned-counts"))
			continue;
		of_node[0] += e->node == nodes[0];
		of_node[1] += e->node == nodes[1];
	}
	if (mutant("entries-unshared"))
		return n >= count;
	return n >= count && of_inode <= 2 * n && of_node[0] <= 2 * n && of_node[1] <= 2 * n;
}

bool cache_spares(const struct cache *c, const void *node)
{
	unsigned n = 0, of_node = 0;

	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		bool is_free = cache_is_free(&c->entries[i]);

		n += is_free;
		of_node += !is_free && c->entries[i].node == node;
	}
	return n > of_node;
}

void cache_drop(struct cache *c, struct cache_entry *e)
{
	struct cache_entry **link = bucket_of(c, e->inode, e->chunk);

	assert(cache_is_free(e) && e->inode && e->inode->entries);
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	e->inode->entries--;
	e->inode = NULL;
}

struct cache_entry *cache_take(struct cache *c, struct inode *inode, uint64_t chunk, const void *node)
{
	struct cache_entry *best = NULL, **bucket = bucket_of(c, inode, chunk);

	assert(!cache_find(c, inode, chunk));
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		struct cache_entry *e = &c->entries[i];

		if (!cache_is_free(e))
			continue;
		if (!e->inode) {
			best = e;
			break;
		}
		if (!best || e->used_at < best->used_at)
			best = e;
	}
	if (!best)
		return NULL;
	if (best->inode)
		cache_drop(c, best);
	best->inode = inode;
	inode->entries++;
	best->chunk = chunk;
	best->node = node;
	best->valid = best->want = best->late = 0;
	best->ahead = false;
	best->next = *bucket;
	*bucket = best;
	cache_use(c, best);
	return best;
}

void cache_link(struct cache_entry *e, struct cache_link *link)
{
	assert(!link->entry && e->inode);
	link->entry = e;
	TAILQ_INSERT_TAIL(&e->links, link, at);
}

void cache_unlink(struct cache_link *link)
{
	assert(link->entry && link->entry->inode);
	TAILQ_REMOVE(&link->entry->links, link, at);
	link->entry = NULL;
}

void cache_fetching(struct cache *c, struct cache_entry *e)
{
	assert(!e->fetching && !e->over && e->inode && e->asked && c->fetching < CACHE_ENTRIES);
	e->fetching = true;
	c->fetching++;
}

void cache_fetched(struct cache *c, struct cache_entry *e)
{
	assert(e->fetching && !e->over && c->fetching);
	e->fetching = false;
	c->fetching--;
}

void cache_invalidate(struct cache *c, const struct inode *inode, uint64_t chunk, uint32_t pages)
{
	struct cache_entry *e = inode->entries ? cache_find(c, inode, chunk) : NULL;

	if (!e)
		return;
	if (!mutant("written-stays-cached"))
		e->valid &= ~pages;
	if (e->fetching && !mutant("answer-revives"))
		e->stale |= pages;
}

void cache_forget(struct cache *c, const struct inode *inode)
{
	for (unsigned i = 0; inode->entries && i < CACHE_ENTRIES; i++) {
		struct cache_entry *e = &c->entries[i];

		if (e->inode != inode)
			continue;
		e->valid = 0;
		if (e->fetching)
			e->stale = mutant("forgotten-comes-back") ? 0 : ~0u;
		else if (TAILQ_EMPTY(&e->links))
			cache_drop(c, e);
	}
}
