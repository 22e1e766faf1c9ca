/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resident_priv.h - what the files of resident.h share. */
#ifndef GVMFS_RESIDENT_PRIV_H
#define GVMFS_RESIDENT_PRIV_H

#include "resident_env.h"

#define GROUP_CHUNKS 16u /* dropped from the page tables at once: 2 MiB, one flush for all */

/* Adds to a counter of the region and of the mount. */
#define resident_count(r, name, n) stats_add((r)->stats, (r)->mount_stats, name, n)

/* ---- resident_chunk.c: a chunk and its pages */

void chunk_unlist(struct resident *r, uint64_t c);
/* Puts it at the end of a list, or at the beginning, off any other. */
void chunk_enlist(struct resident *r, uint64_t c, enum chunk_list_id list);
void chunk_enlist_first(struct resident *r, uint64_t c, enum chunk_list_id list);
/* Changes the state, and what is counted by it. */
void chunk_set_state(struct resident *r, uint64_t c, enum chunk_state state);

/* The pages of a chunk that the region has: the last chunk may have fewer. */
uint32_t chunk_pages(const struct resident *r, uint64_t c);
/* How many pages of it take memory. */
unsigned chunk_here(const struct resident *r, uint64_t c);
/* Pages are marked as filled. */
void chunk_fill(struct resident *r, uint64_t c, uint32_t pages);
/* Filled pages have been punched out, or (holes false) are there again. */
void chunk_mark_holes(struct resident *r, uint64_t c, uint32_t pages, bool holes);
/* It is ABSENT, whatever is in the memory. */
void chunk_forget(struct resident *r, uint64_t c);
/* The same, and gives its memory back. */
void chunk_drop(struct resident *r, uint64_t c);

/* Calls `act` for each run of adjacent pages, until one fails. */
int for_page_runs(struct resident *r, uint64_t c, uint32_t pages,
		  int (*act)(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg),
		  void *arg);
/* Puts adjacent pages that are not filled into the client's memory, out of the content of the chunk or
 * (NULL) zeros; wakes who waits for them if told to. 0 or a negative errno. */
int pages_put(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
	      bool wake);
/* The same for a whole chunk that is ABSENT, and maps none of it. */
int chunk_put_hidden(struct resident *r, uint64_t c, const uint8_t *chunk);
/* Takes pages out of the memory. */
int pages_punch(struct resident *r, uint64_t c, uint32_t pages);
/* Maps pages that are here, in the client; does not wake. 0 or a negative errno. */
int pages_map(struct resident *r, uint64_t c, uint32_t pages);
void pages_wake(struct resident *r, uint64_t c, uint32_t pages);
/* Maps a chunk that is here, makes it RESIDENT, and wakes who waits; `page`: what faulted, or
 * GVM_NO_PAGE. Ends its eviction, if there is one. */
void chunk_show(struct resident *r, uint64_t c, unsigned page);
/* It is RESIDENT, the youngest. */
void chunk_activate(struct resident *r, uint64_t c);

void hash_page(const uint8_t *page, uint64_t seed, XXH128_hash_t *hash);
/* The hashes of `pages` of `all` (one for each page of a chunk) are known from here on. */
void hashes_learn(struct resident *r, uint64_t c, const XXH128_hash_t *all, uint32_t pages);
/* Those that are known, each at its page's place. */
void hashes_spread(const struct chunk *k, XXH128_hash_t all[GVM_CHUNK_PAGES]);
void hashes_forget(struct resident *r, uint64_t c);

/* It was refused a fetch or an eviction, of which all are taken, and looks again when one is given back. */
static inline void resident_want(struct resident *r)
{
	session_set_add(&r->rs->wanting, r->session);
}

/* Whether anything waits for room in the budget, for a chunk at the most. */
static inline bool resident_lacks_room(const struct resident *r)
{
	return r->lists[LIST_BLOCKED].head || (r->ios_lack_room && !TAILQ_EMPTY(&r->ios));
}

/* ---- resident_event.c */

/* An ioctl on the client's memory failed: that is its end, or ours. */
void client_trouble(struct resident *r, int error);
/* Something has changed that requests wait for: chunks, room, means. */
void resident_ios_look(struct resident *r);

/* ---- resident_fault.c */

/* All that were read. */
void faults_serve(struct resident *r);

/* ---- resident_fetch.c: how chunks come */

/* Brings pages of a chunk in, or lets it wait for room; `page`: what is waited for, or GVM_NO_PAGE. */
void resident_bring(struct resident *r, uint64_t c, unsigned page, uint32_t pages);
/* Whether the budget has room for so many pages more. */
bool resident_has_room(const struct resident *r, unsigned pages);
/* Lets a chunk's page wait for room, or for the means to fetch it. */
void resident_block(struct resident *r, uint64_t c, unsigned page);
/* A fault of a page that is not filled. */
void resident_miss(struct resident *r, uint64_t c, unsigned page);
/* The reader goes on as it did: fetches what it is about to want. */
void resident_ahead(struct resident *r, uint64_t c, unsigned page);
/* Brings what waits for room or for means to fetch, as far as there are any; false: none are. */
bool blocked_continue(struct resident *r);
/* Pages of it have come, or it has ended. 0, or the error that ends what waits for the chunk. */
int fetch_look(struct resident_fetch *f);
/* Its GETs end now. */
void fetches_cancel(struct resident *r);

/* ---- resident_evict.c: how they go */

/* Lets chunks leave, and has others become INACTIVE, so that some can leave soon. */
void room_look(struct resident *r);
/* Whether the budget has to be exceeded, or need not be any more. */
void over_look(struct resident *r);
/* The client has dropped the page-table entries that it was asked to. */
void zap_done(struct resident *r);
/* Has a chunk that is INACTIVE looked at by a writer, unless something pins it or a writer has it
 * already: then it is active again. False: no writer has room. */
bool eviction_start(struct resident *r, uint64_t c);
/* A writer has handed a chunk back. */
void eviction_end(struct eviction *e);
/* Sends a chunk as it is, for the fsync under way. False: no writer has room. */
bool eviction_sync(struct resident *r, uint64_t c);

/* ---- resident_end.c: the end of the client */

/* Its memory is gone: what is here goes to the nodes, or nowhere. */
void drain(struct resident *r);

/* ---- resident_io.c: FUSE's part */

/* Goes on with them, if that is so. */
void resident_ios_continue(struct resident *r);
/* Ends those that wait for a chunk. */
void resident_ios_fail(struct resident *r, uint64_t chunk, int error);
/* Ends a request. */
void resident_io_finish(struct resident *r, struct resident_io *io, int error);

/* ---- resident_sync.c: an fsync */

/* Goes on with one, if there is one. */
void sync_continue(struct resident *r);
/* A writer hands back a chunk, which one may have sent. */
void sync_outcome(struct resident *r, const struct eviction *e);
/* Ends fsyncs that have all they waited for, or that get it no more, and begins the next. */
void resident_syncs_check(struct resident *r);

/* ---- resident_recover.c */

/* Takes over what a predecessor left. */
void resident_recover(struct resident *r);

/* ---- What all regions share: fetches and evictions (resident_fetch.c, resident_evict.c) */

/* Whether a region may have one more GET under way, which fetch_take() then takes. */
bool fetch_allowed(const struct resident *r, uint64_t c);
struct resident_fetch *fetch_take(struct resident *r, uint64_t c);
void fetch_give(struct resident_fetch *f);
/* NULL: it may not have one more. */
struct eviction *eviction_take(struct resident *r, uint64_t c);
void eviction_give(struct eviction *e);

/* Whose share of it a chunk takes: the node's that it is on, or the region's where that is not known. */
static inline const void *chunk_node(const struct resident *r, uint64_t c)
{
	return r->rs->node ? r->rs->node(r, c) : r;
}

#endif
