/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.h - a few decoded chunks, which bridge the moment between a fetch and the READs that want its parts.
 *
 *	FREE	-> HELD		cache_take()
 *	HELD	-> FREE		cache_drop(); also when the entry is taken for another chunk
 *	HELD	-> FETCHING	cache_fetching()
 *	FETCHING -> HELD	cache_fetched()
 *
 * An entry that is FETCHING, or that something waits on (a link), is pinned: it is not taken. Pages that are
 * `valid` are of the index's version: a write clears its pages' bits, and marks them as stale in the GET under way.
 */
#ifndef GVMFS_CACHE_H
#define GVMFS_CACHE_H

#include "gvm_client.h"
#include "state/inode.h"

#include <sys/queue.h>

#ifndef CACHE_ENTRIES
#define CACHE_ENTRIES 64u
#endif
#define CACHE_BUCKETS 256u

struct store;
struct store_wait;

/* That something waits for pages of an entry. */
struct cache_link {
	struct store_wait *wait;
	struct cache_entry *entry; /* NULL: of none */
	TAILQ_ENTRY(cache_link) at;
};

struct cache_entry {
	struct gvm_get get; /* first; gvmfs's own, while FETCHING */
	struct store *store;
	struct inode *inode; /* NULL: FREE */
	uint64_t chunk;
	uint64_t epoch;	     /* that the last GET was sent under */
	uint32_t valid;	     /* pages of the index's version */
	uint32_t want;	     /* pages that something waits for or that are fetched ahead */
	uint32_t asked;	     /* pages of the GET under way */
	uint32_t stale;	     /* of these, pages written since it was sent */
	uint32_t late;	     /* pages wanted by READs that came since it was sent, and that ask the node anew */
	bool fetching;
	bool over;	     /* the GET has ended, and the turn has not seen it: */
	int error;	     /* so */
	bool ahead;	     /* fetched ahead, and not read yet */
	uint64_t used_at;
	uint64_t begun;	     /* store->events when the last GET was sent */
	TAILQ_HEAD(, cache_link) links;
	const void *node;    /* that the chunk is on: whose share of the entries it takes */
	struct cache_entry *next; /* in its bucket */
	STAILQ_ENTRY(cache_entry) ended;
	uint8_t *data;
};

struct cache {
	struct cache_entry entries[CACHE_ENTRIES];
	struct cache_entry *buckets[CACHE_BUCKETS];
	unsigned fetching; /* GETs under way */
	uint64_t clock;
};

/* With room for CACHE_ENTRIES chunks. */
void cache_begin(struct cache *c, struct store *store, uint8_t *data);

struct cache_entry *cache_find(struct cache *c, const struct inode *inode, uint64_t chunk);
/* It is used just now. */
static inline void cache_use(struct cache *c, struct cache_entry *e)
{
	e->used_at = ++c->clock;
}

/* Whether nothing pins it. */
bool cache_is_free(const struct cache_entry *e);
unsigned cache_count_free(const struct cache *c);
/* Whether one can be spared for a chunk on `node` that nobody waits for: as many as the node has are left. */
bool cache_spares(const struct cache *c, const void *node);
/* Whether an inode may have `count` entries more, for chunks on `nodes`: there are that many, and others, were a
 * node dead, would find some left. */
bool cache_allow(const struct cache *c, const struct inode *inode, const void *const nodes[2], unsigned count);
/* The unpinned entry that was used longest ago, emptied, for another chunk; NULL: all are pinned. */
struct cache_entry *cache_take(struct cache *c, struct inode *inode, uint64_t chunk, const void *node);
void cache_drop(struct cache *c, struct cache_entry *e);

void cache_link(struct cache_entry *e, struct cache_link *link);
void cache_unlink(struct cache_link *link);

/* A GET for e->asked is under way; it is not. */
void cache_fetching(struct cache *c, struct cache_entry *e);
void cache_fetched(struct cache *c, struct cache_entry *e);

/* Pages of a chunk were written: what is held or under way of them is out of date. */
void cache_invalidate(struct cache *c, const struct inode *inode, uint64_t chunk, uint32_t pages);
/* Forgets all chunks of an inode. */
void cache_forget(struct cache *c, const struct inode *inode);

#endif
