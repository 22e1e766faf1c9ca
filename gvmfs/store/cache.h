/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.h - a small cache of decoded chunks: READs that want parts of one chunk share one fetch.
 *
 *	FREE	-> HELD		cache_take()
 *	HELD	-> FREE		cache_drop(); also when the entry is taken for another chunk
 *	HELD	-> FETCHING	cache_fetching()
 *	FETCHING -> HELD	cache_fetched()
 *
 * An entry that is FETCHING or has waiters (links) is in use: cache_take() leaves it alone. The `valid` pages
 * have the content of the index's version: a write clears the bits of the pages that it changes, and marks them as
 * stale in the GET in flight.
 */
#ifndef GVMFS_CACHE_H
#define GVMFS_CACHE_H

#include "node/fetch.h"
#include "state/inode.h"

#include <sys/queue.h>

#ifndef CACHE_ENTRIES
#define CACHE_ENTRIES 64u
#endif
#define CACHE_BUCKETS 256u

struct store;
struct store_wait;

/* One wait for pages of one entry. */
struct cache_link {
	struct store_wait *wait;
	struct cache_entry *entry; /* NULL: not linked */
	bool later; /* some of what it wants is not asked for by the GET under way, but by the next one */
	TAILQ_ENTRY(cache_link) at;
};

struct cache_entry {
	struct fetch fetch; /* owned by gvmfs while FETCHING */
	struct store *store;
	struct inode *inode; /* NULL: FREE */
	uint64_t chunk;
	uint64_t epoch;	     /* the last GET was sent under this epoch */
	uint32_t valid;	     /* pages whose content is of the index's version */
	uint32_t want;	     /* pages that a READ waits for, or that are prefetched */
	uint32_t asked;	     /* pages of the GET in flight */
	uint32_t stale;	     /* of `asked`: pages written since the GET was sent */
	uint32_t late;	     /* wanted by READs that came after the GET was sent: fetched once more */
	bool fetching;
	bool over;	     /* the GET has ended, and the turn has not handled it yet; */
	int error;	     /* with this result */
	bool cut;	     /* the nodes may refuse that GET, since the chunk was being cut off */
	bool ahead;	     /* prefetched, and not read yet */
	uint64_t used_at;
	uint64_t begun;	     /* store->events when the last GET was sent */
	TAILQ_HEAD(, cache_link) links;
	const void *node;    /* of the chunk: the entry counts against this node's share */
	struct cache_entry *next; /* in its bucket */
	STAILQ_ENTRY(cache_entry) ended;
	uint8_t *data;
};

struct cache {
	struct cache_entry entries[CACHE_ENTRIES];
	struct cache_entry *buckets[CACHE_BUCKETS];
	unsigned fetching; /* GETs in flight */
	uint64_t clock;
};

/* `data` has room for CACHE_ENTRIES chunks. */
void cache_begin(struct cache *c, struct store *store, uint8_t *data);

struct cache_entry *cache_find(struct cache *c, const struct inode *inode, uint64_t chunk);
/* Marks an entry as just used. */
static inline void cache_use(struct cache *c, struct cache_entry *e)
{
	e->used_at = ++c->clock;
}

/* Whether an entry is not in use. */
bool cache_is_free(const struct cache_entry *e);
unsigned cache_count_free(const struct cache *c);
/* Whether a prefetch of a chunk on `node` may take an entry: more are free than that node's chunks use. */
bool cache_spares(const struct cache *c, const void *node);
/* Whether an inode may use `count` more entries for chunks on `nodes`: so many are free, and those that this
 * inode and each of these nodes use are at most twice the free ones, so that a dead node leaves entries to the
 * others. */
bool cache_allow(const struct cache *c, const struct inode *inode, const void *const nodes[2], unsigned count);
/* Takes the least recently used entry, and empties it, for a chunk that has none; NULL if all are
 * in use. */
struct cache_entry *cache_take(struct cache *c, struct inode *inode, uint64_t chunk, const void *node);
/* Frees an entry that is not in use. */
void cache_drop(struct cache *c, struct cache_entry *e);

void cache_link(struct cache_entry *e, struct cache_link *link);
void cache_unlink(struct cache_link *link);

/* A GET for e->asked has been sent. */
void cache_fetching(struct cache *c, struct cache_entry *e);
/* That GET has ended. */
void cache_fetched(struct cache *c, struct cache_entry *e);

/* Pages of a chunk were written: what the cache holds, or is fetching, of them is stale. */
void cache_invalidate(struct cache *c, const struct inode *inode, uint64_t chunk, uint32_t pages);
/* Makes all chunks of an inode stale, and drops those that are not in use. */
void cache_forget(struct cache *c, const struct inode *inode);

#endif
