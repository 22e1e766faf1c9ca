/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resident_priv.h - shared by the files of resident.h. */
#ifndef GVMFS_RESIDENT_PRIV_H
#define GVMFS_RESIDENT_PRIV_H

#include "resident.h"
#include "resident_env.h"

#define HEADROOM_MIN (16u * GVM_CHUNK_PAGES)
#define HEADROOM_MAX (64u * GVM_CHUNK_PAGES)
#define GROUP_CHUNKS 16u /* zapped together: 2 MiB, one TLB flush for all */

/* Adds to a counter of the region and of the mount. */
#define resident_count(r, name, n) stats_add((r)->stats, (r)->mount_stats, name, n)

/* ---- resident_chunk.c: a chunk and its pages */

void chunk_unlist(struct resident *r, uint64_t c);
/* Moves a chunk to the end of a list, or to its beginning. */
void chunk_enlist(struct resident *r, uint64_t c, enum chunk_list_id list);
void chunk_enlist_first(struct resident *r, uint64_t c, enum chunk_list_id list);
/* Changes a chunk's state, and the counters that depend on it. */
void chunk_set_state(struct resident *r, uint64_t c, enum chunk_state state);

/* The pages of a chunk that are within the region: the last chunk may have fewer. */
uint32_t chunk_pages(const struct resident *r, uint64_t c);
/* The filled pages of a chunk that were punched out since. */
static inline uint32_t chunk_holes(const struct resident *r, uint64_t c)
{
	return r->mark[c].filled & ~r->mark[c].coming;
}
/* How many pages of a chunk take memory: filled, and no holes. */
unsigned chunk_here(const struct resident *r, uint64_t c);
/* Marks pages as filled. */
void chunk_fill(struct resident *r, uint64_t c, uint32_t pages);
/* Filled pages were punched out, or (holes false) are in the memory again. */
void chunk_mark_holes(struct resident *r, uint64_t c, uint32_t pages, bool holes);
/* Makes a chunk ABSENT, and leaves its memory alone. */
void chunk_forget(struct resident *r, uint64_t c);
/* The same, and returns its memory to the kernel. */
void chunk_drop(struct resident *r, uint64_t c);

/* Calls `act` for each run of adjacent pages, until a call fails: 0, or its error. */
int for_page_runs(struct resident *r, uint64_t c, uint32_t pages,
		  int (*act)(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg),
		  void *arg);
/* Puts adjacent pages that are not filled into the client's memory and maps them. `chunk`: the
 * content of the whole chunk; NULL: zeros. Wakes the pages' faulters if `wake`. 0 or a negative
 * errno. */
int pages_put(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
	      bool wake);
/* Puts in pages of a chunk of which no page is filled, and maps none. 0 or a negative errno. */
int pages_put_hidden(struct resident *r, uint64_t c, uint32_t pages, const uint8_t *chunk);
/* Punches pages out of the memory. 0 or a negative errno. */
int pages_punch(struct resident *r, uint64_t c, uint32_t pages);
/* Maps pages that are here in the client; does not wake. 0 or a negative errno. */
int pages_map(struct resident *r, uint64_t c, uint32_t pages);
void pages_wake(struct resident *r, uint64_t c, uint32_t pages);
/* Puts a chunk into LIST_BLOCKED: `page` waits for room, for a fetch to be free, or for memory of the client's group. */
void chunk_block(struct resident *r, uint64_t c, unsigned page);
/* Maps the pages of a chunk that are here, makes the chunk RESIDENT, and wakes their faulters.
 * `page`: the one that faulted, mapped first, or GVM_NO_PAGE. Ends the chunk's eviction, if there
 * is one. */
void chunk_show(struct resident *r, uint64_t c, unsigned page);
/* Makes a chunk RESIDENT, last in the active list. */
void chunk_activate(struct resident *r, uint64_t c);

void hash_page(const uint8_t *page, uint64_t seed, XXH128_hash_t *hash);
/* Remembers the hashes of `pages`; all[p] is that of page p. Without memory it forgets all of the
 * chunk's. */
void hashes_learn(struct resident *r, uint64_t c, const XXH128_hash_t *all, uint32_t pages);
/* Copies the known hashes, that of page p to all[p]. */
void hashes_spread(const struct chunk *k, XXH128_hash_t all[GVM_CHUNK_PAGES]);
void hashes_forget(struct resident *r, uint64_t c);

/* The region was refused a fetch or an eviction: it is told when one is given back. */
static inline void resident_want(struct resident *r)
{
	session_set_add(&r->rs->wanting, r->session);
}

/* Whether the budget bounds it: not while it is less than the region takes, or the memory becomes the client's. */
static inline bool resident_is_bounded(const struct resident *r)
{
	return r->local < r->chunks * GVM_CHUNK_PAGES && !r->give && !r->give_asked && !r->given;
}

/* Whether the client has all of its memory, or has ended after it was told so: what is in the memory is not all marked. */
static inline bool resident_is_alone(const struct resident *r)
{
	return r->given || (r->give_asked && r->client_gone && !r->detached);
}

/* Whether a fault or a request waits for room in the budget; none needs more than a chunk. */
static inline bool resident_lacks_room(const struct resident *r)
{
	return r->lists[LIST_BLOCKED].head || (r->ios_lack_room && !TAILQ_EMPTY(&r->ios));
}

/* ---- resident_event.c */

/* A call into the client's memory failed. -ESRCH: the client has left. -ENOENT: it is unmapping,
 * and has a moment to leave. Any other error aborts the region. */
void client_trouble(struct resident *r, int error);
/* A page was put in there. */
void client_fed(struct resident *r);
/* Something has changed that requests may wait for: the turn tries them again. */
void resident_ios_look(struct resident *r);

/* ---- resident_fault.c */

/* Serves all faults that were read. */
void faults_serve(struct resident *r);

/* ---- resident_fetch.c: how chunks come */

/* Fetches what is lacking of a chunk that has some pages, though nobody waits for it. False: that cannot be now. */
bool resident_complete(struct resident *r, uint64_t c);
/* Brings pages of a chunk in, or puts the chunk into LIST_BLOCKED; `page`: the one that is waited
 * for, or GVM_NO_PAGE. */
void resident_bring(struct resident *r, uint64_t c, unsigned page, uint32_t pages);
/* Whether the budget has room for so many more pages, or may be exceeded. */
bool resident_has_room(const struct resident *r, unsigned pages);
/* Handles a fault on a page that is not filled. */
void resident_miss(struct resident *r, uint64_t c, unsigned page);
/* Notes a fault for the read-ahead, and fetches the chunks that it predicts. */
void resident_ahead(struct resident *r, uint64_t c, unsigned page);
/* Brings in the chunks of LIST_BLOCKED that now have room and a fetch. False: there was none. */
bool blocked_continue(struct resident *r);
/* Handles pages of a fetch that have arrived, or its end. 0, or the error with which the requests
 * that wait for the chunk have to end. */
int fetch_look(struct resident_fetch *f);
/* Whether the nodes have nothing but zeros of a chunk. */
bool chunk_is_zero(const struct resident *r, uint64_t c);
/* Put a chunk in, unmapped, since an earlier start touched it: as zeros; with these pages, by a GET. */
void fill_ahead_with_zeros(struct resident *r, uint64_t c);
void fetch_replay(struct resident *r, uint64_t c, uint32_t pages);
/* Fetches what is lacking of a chunk, for resident_give(). False: not now. */
bool fetch_give_start(struct resident *r, uint64_t c);
/* Cancels all GETs of the region. */
void fetches_cancel(struct resident *r);

/* ---- resident_evict.c: how chunks go */

/* Evicts INACTIVE chunks as the budget demands, and has active ones zapped, so that more can go
 * soon. */
void room_look(struct resident *r);
/* A fault has to wait since evictions are too slow for what comes. */
void room_lacked(struct resident *r);
/* Decides whether the budget has to be exceeded, or need not be any longer. */
void over_look(struct resident *r);
/* A fault on a page that is here: a chunk that was not mapped may be worth keeping for longer. */
void life_earn(struct resident *r, uint64_t c);
/* The client has dropped the page-table entries of the zap in flight. */
void zap_done(struct resident *r);
/* Hands an INACTIVE chunk to a writer; if it is pinned, or a writer has it already, makes it active
 * again instead. False: no eviction is free for it. */
bool eviction_start(struct resident *r, uint64_t c);
/* A writer has handed a chunk back. */
void eviction_end(struct eviction *e);
/* Sends a chunk as it is, for the fsync pass under way or because it is rotten, and keeps it. False: no eviction is
 * free for it. */
bool eviction_sync(struct resident *r, uint64_t c);
bool eviction_rot(struct resident *r, uint64_t c);

/* ---- resident_spread.c */

void spread_begin(struct resident *r);
/* A chunk is about to be dropped. */
void spread_learn(struct resident *r, uint64_t c);
/* The pages that a fault is to bring. */
uint32_t spread_want(struct resident *r, uint64_t c, unsigned page);

/* ---- resident_trail.c: what a start touches */

void trail_begin(struct resident *r);
/* A fault wants pages of the chunk that were not here; these come, or have come, for it. */
void trail_note(struct resident *r, uint64_t c, uint32_t pages);
/* A chunk that was fetched ahead is used for the first time. */
void trail_used(struct resident *r, uint64_t c);
/* A chunk is about to be dropped. */
void trail_gone(struct resident *r, uint64_t c);
/* The budget was raised: what was evicted last may come back. */
void replay_gone(struct resident *r);
/* What is here has to go: nothing more is replayed. */
void replay_drop(struct resident *r);

/* ---- resident_replay.c: fetches what was used before */

void replay_continue(struct resident *r);

/* ---- resident_give.c: the client is to need no gvmfs */

void give_continue(struct resident *r);
/* A chunk that the pass has asked for cannot be fetched. */
static inline void give_failed(struct resident *r, uint64_t c, int error)
{
	if (r->give && !r->give_asked && !r->give_error && c < r->give_next)
		r->give_error = error;
}
/* Ends the request if it is over. */
void give_check(struct resident *r);

/* ---- resident_end.c: the end of the client */

/* The client's memory is gone: writes back what is here, or drops it. */
void drain(struct resident *r);

/* ---- resident_io.c: requests of FUSE */

/* Tries the waiting requests again, if resident_ios_look() was called. */
void resident_ios_continue(struct resident *r);
/* Ends the requests that wait for this chunk. */
void resident_ios_fail(struct resident *r, uint64_t chunk, int error);
/* Ends a request. */
void resident_io_finish(struct resident *r, struct resident_io *io, int error);

/* ---- resident_sync.c: fsyncs */

/* Goes on with the pass under way, if there is one. */
void sync_continue(struct resident *r);
/* A writer hands back a chunk, which the pass may have sent. Before eviction_end(). */
void sync_outcome(struct resident *r, const struct eviction *e);
/* Ends the pass if it is done or has failed, and begins the next. */
void resident_syncs_check(struct resident *r);

/* ---- resident_rot.c */

/* A rotten chunk may be sent, or fetched, by now. */
static inline void rot_note(struct resident *r, uint64_t c)
{
	if (r->rot_next == r->rot_end)
		r->rot_next = r->rot_end = c;
	if (c < r->rot_next)
		r->rot_next = c;
	if (c >= r->rot_end)
		r->rot_end = c + 1;
	resident_note(r);
}
/* Goes on with those. */
void rot_continue(struct resident *r);

/* ---- resident_recover.c */

/* Takes over what a predecessor left of a chunk. Before anything else is done with a chunk that may be ABSENT. */
void chunk_take(struct resident *r, uint64_t c);
/* Does the same with some of those that are left. */
void resident_recover(struct resident *r);

/* ---- Fetches and evictions, which all regions share (resident_fetch.c, resident_evict.c) */

/* Whether the region may have one more GET in flight, for this chunk; fetch_take() then takes it. For a prefetch: more GETs
 * must be left than its node has in flight, or than all have. */
bool fetch_allowed(const struct resident *r, uint64_t c);
bool fetch_ahead_allowed(const struct resident *r, uint64_t c);
struct resident_fetch *fetch_take(struct resident *r, uint64_t c);
void fetch_give(struct resident_fetch *f);
/* NULL: the region may not have one more for this chunk. */
struct eviction *eviction_take(struct resident *r, uint64_t c);
void eviction_give(struct eviction *e);

/* How many pages of the budget are kept free, for what comes while others go. */
static inline uint64_t resident_headroom(const struct resident *r)
{
	uint64_t most = r->local / 16 < HEADROOM_MAX ? r->local / 16 : HEADROOM_MAX;
	uint64_t pages = r->local / 64 > HEADROOM_MIN ? r->local / 64 : HEADROOM_MIN;

	return pages + r->hurry < most ? pages + r->hurry : most;
}

/* Against whose share a chunk counts: its node's, or the region's where the node is not known. */
static inline const void *chunk_node(const struct resident *r, uint64_t c)
{
	return r->rs->node ? r->rs->node(r, c) : r;
}

#endif
