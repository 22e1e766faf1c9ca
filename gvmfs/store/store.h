/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h - cache and write-back of regions that the kernel's page cache serves: READ and WRITE go through it.
 *
 * The kernel's page cache is the resident store. Pages that the kernel wrote and no node has acknowledged are in
 * the journal's wbufs (wbufs.h); fetched chunks are in a small cache for a moment (cache.h). READs, WRITEs and
 * zeros (fuse/read.h, fuse/write.h) are requests that wait here for pages, cache entries or wbufs; fsyncs wait
 * until wbufs are FREE. When no wbuf is free, WRITEs wait (the kernel then throttles the tasks that dirty pages);
 * READs do not. Where so many wait that the kernel would soon let no region have more of them unanswered, the pages of
 * further ones are spilled (spill.h).
 *
 * One turn. An event only changes state and notes what has to be looked at; store_turn() then decides until
 * nothing changes any more. No decision calls another, and a request's end, which comes in a turn, may cause
 * events: the same turn handles them.
 *
 * Staleness. An entry's valid pages always have the content of the index's version: a WRITE clears the bits of
 * its pages, and marks them as stale in a fetch in flight; a fetch that begins while pages are unacknowledged
 * counts them as stale from the start. So an answer that left the node before it had acknowledged a WRITE does
 * not bring back what the WRITE replaced.
 *
 * Where another host, or the fast path's client, changes the region unseen by us, a READ is
 * answered only from a GET that was sent after the READ came: so it sees all that its caller knows
 * to be written. If a READ needs two chunks, the first may be too old for other READs before the
 * second is here, so each READ keeps what it got.
 *
 * Front thread only.
 */
#ifndef GVMFS_STORE_H
#define GVMFS_STORE_H

#include "cache.h"
#include "wbufs.h"

#define STORE_AGE_NS   20000000ull /* a wbuf is sent after it has collected for so long */
#define STORE_RETRY_NS 1000000000ull
#ifndef STORE_SEALED_ENOUGH
#define STORE_SEALED_ENOUGH 32u /* wbufs SENDING or REFUSED, over all nodes: keeps the writers busy */
#endif

/* So many WRITEs may wait for wbufs, and those for one node as many of them as they leave to others; further ones are
 * spilled. Far from the 65,535 requests that the kernel lets the mount have unanswered. */
#ifndef STORE_STALLED
#define STORE_STALLED 16384u
#endif

#ifndef STORE_WRITES
#define STORE_WRITES 4096u
#endif

struct store_env;
struct store_wait;
TAILQ_HEAD(store_waits, store_wait);

enum store_wait_state {
	WAIT_NOT,     /* new, done, or being tried */
	WAIT_DUE,     /* in store->due, to be tried by the turn; perhaps still linked */
	WAIT_PAGES,   /* linked to entries */
	WAIT_ENTRIES, /* no entry is free or allowed: in a lane of store->starved */
	WAIT_WBUF,    /* no wbuf is free or allowed: in a lane of store->stalled */
	WAIT_ORDER,   /* a WRITE that came earlier overlaps it: in that one's list */
	WAIT_CUT,     /* it reaches behind the end that its region is about to get: in store->held */
};

/* The beginning of every request. */
struct store_wait {
	/* Tries the request (again): ends it, or makes it wait. From a turn only. */
	void (*go)(struct store *s, struct store_wait *wait);
	struct inode *inode;
	enum store_wait_state state;
	int error;	       /* not 0: the request has to end with this error */
	TAILQ_ENTRY(store_wait) in; /* a list, by its state */
	struct store_lane *lane; /* WAIT_ENTRIES, WAIT_WBUF */
	struct store_waits *order; /* WAIT_ORDER: that list */
	struct cache_link on[2];
	const void *nodes[2];  /* WAIT_ENTRIES, WAIT_WBUF: the nodes of its chunks */
	unsigned count;	       /* WAIT_ENTRIES: how many entries it needs */
	uint64_t chunk;	       /* WAIT_WBUF: the chunk that needs a wbuf */
	uint64_t deadline_ns;  /* WAIT_WBUF, WAIT_CUT: 0: none */
};

/*
 * Requests that wait for a share of the same inode and nodes, in their order: if the first may not have it, none of
 * them may. So however many wait for a dead node, only one is looked at each time.
 */
struct store_lane {
	const struct inode *inode;
	const void *nodes[2];
	struct store_waits waits; /* never empty */
	unsigned count;
	TAILQ_ENTRY(store_lane) in;
};
TAILQ_HEAD(store_lanes, store_lane);

/* An fsync: waits until all that was written to an inode before it is acknowledged. Embedded. */
struct store_sync {
	/* From a turn, with 0; -EIO: the region failed; -ETIMEDOUT: deadline_ns has passed. */
	void (*done)(struct store *s, struct store_sync *sync, int error);
	struct inode *inode;
	uint64_t deadline_ns; /* 0: none */
	uint64_t until;	      /* it waits for wbufs with order numbers up to this one */
	TAILQ_ENTRY(store_sync) in;
};

struct store {
	const struct store_env *env;
	void *owner; /* for the environment's use */
	struct stats *stats; /* of the mount */
	bool sealed;	     /* what is sent is sealed, if env->send() does not say otherwise: memnode/SEAL.md */
	struct wbufs wbufs;
	struct cache cache;
	uint64_t events; /* READs that came plus GETs that were sent: a clock that orders them */
	uint8_t *scratch; /* for the READ that is being tried: STORE_SCRATCH pages */

	/* Noted since the last turn: */
	bool again;   /* the turn has something to do */
	bool turning; /* a turn is running */
	bool wbufs_news, entries_news; /* requests that wait for wbufs, or for entries, may go on */
	bool seal_all, sweep; /* all wbufs have to be sent; entries of closed inodes have to go */
	uint64_t tidy_ns; /* when store_tidy() goes on */
	uint64_t timer_ns; /* timers up to this time are due; 0: not looked at */
	STAILQ_HEAD(, cache_entry) ended; /* GETs that have ended */
	struct flush *flushed, **flushed_tail; /* writers' outcomes */

	struct store_waits due;
	struct store_lanes starved, stalled;
	struct store_waits held;
	/* WRITEs and punches of few chunks that are not answered, by the first of these: fuse/write.h. */
	struct store_writes writes[STORE_WRITES];
	uint64_t writes_came; /* with the others */
	TAILQ_HEAD(, store_sync) syncs;
	TAILQ_HEAD(, inode) dropping; /* inode->spill_dropped */
};

#define STORE_SCRATCH (GVM_CHUNK_PAGES + 1)

/*
 * ---- The beginning, the turn, the clock
 */

/* The caller has filled in wbufs.{disk,data,mark32,mark64}, what is given of wbufs.spill, env, owner, stats and sealed; the
 * rest is zero. data has room for CACHE_ENTRIES chunks, scratch for STORE_SCRATCH pages. Takes over what the journal has
 * of writes; a turn has to follow. */
void store_begin(struct store *s, uint8_t *data, uint8_t *scratch);
/* Handles what events have noted, until nothing changes any more. Does nothing if called within a turn. */
void store_turn(struct store *s);
/* Handles timers that are due, in a turn; returns when it wants to be called again (CLOCK_MONOTONIC), or
 * ~0. */
uint64_t store_tick(struct store *s, uint64_t now_ns);

/*
 * ---- Events: a turn has to follow one or several of them. (READ and WRITE: fuse/read.h,
 * fuse/write.h.)
 */

/* The caller has filled in sync->done and sync->deadline_ns. */
void store_sync(struct store *s, struct store_sync *sync, struct inode *inode);
/* The request's caller is being killed: the request ends with -EINTR. What it has put into wbufs stays
 * written. */
void store_cancel(struct store *s, struct store_wait *wait);
/* A GET has brought these pages into e->data. */
void store_piece(struct cache_entry *e, uint32_t pages);
/* Pages that were in a wbuf, or being cut off, at some time since the GET was sent: the node's copy may be newer or
 * older than the version that the index names. In a sealed answer their age is not checked, and
 * store_piece() leaves them out. */
uint32_t store_in_flux(const struct cache_entry *e);
/* These pages of an answer are about to be written into the entry unchecked: they are not valid
 * from now on, nor after this GET. */
void store_doubt(struct cache_entry *e, uint32_t pages);
/* A GET has spoilt these pages in e->data: they are not valid. */
void store_spoilt(struct cache_entry *e, uint32_t pages);
/* A GET has ended with 0 or a negative errno. */
void store_fetched(struct cache_entry *e, int error);
/* A writer has handed a wbuf's flush back, with its outcome. */
void store_flushed(struct store *s, struct flush *f);
/* The fast path has changed pages of a chunk. */
void store_invalidate(struct store *s, struct inode *inode, uint64_t chunk, uint32_t pages);
/* The cached chunks of a region are stale or of no more use: it was closed, detached or shrunk, or
 * another host may have written to it. */
void store_forget(struct store *s, struct inode *inode);
/* Drops writes that are not being sent yet: the region is not wanted any more. What is spilled of them counts as gone, and is
 * freed in steps: until then an fsync waits, and inode->wbufs has it. */
void store_drop(struct store *s, struct inode *inode);
/* The region is to get this smaller size. From now on to the end of that, what a request would do behind the new end is
 * neither done nor answered; what was done before is in wbufs, so that an fsync waits for it. */
void store_cut_begin(struct store *s, struct inode *inode, uint64_t size);
/* The end. If it has that size now, the caller has called store_writes_cut() (fuse/write.h). */
void store_cut_end(struct store *s, struct inode *inode);
/* The region has failed (disk()->failed): requests that wait for it end, and unacknowledged writes are
 * lost. */
void store_fail(struct store *s, struct inode *inode);
/* Chunks of the region may have moved to other nodes, where there may be room for what waits. */
void store_moved(struct store *s, struct inode *inode);
/* The mount ends: all wbufs have to be sent. */
void store_seal_all(struct store *s);

/*
 * ---- For requests, in a turn
 */

/* Whether the region is about to lose what is before `end`, or a part of it. */
static inline bool store_is_cut(const struct inode *inode, uint64_t end)
{
	return inode->cutting && end > inode->cut_bytes;
}


/* Whether the region can be changed unseen by us: by another host, or by the fast path's client. */
bool store_is_unseen(struct store *s, const struct inode *inode);
/* Has the request tried again once pages of one chunk, or two (count), are here or have failed. Asks for all of
 * them at once; if it gets no entries it asks for none, and waits for entries. */
void store_want(struct store *s, struct store_wait *wait, unsigned count, const uint64_t chunk[2],
		const uint32_t pages[2], unsigned want_page);
/* A wbuf for the chunk, with what was spilled of it; NULL: it may have none now. */
struct wbuf *store_wbuf_open(struct store *s, struct inode *inode, uint64_t chunk);
/* A place where these pages of a chunk that gets no wbuf are to be spilled; NULL: the request waits. */
struct spill_place *store_spill(struct store *s, struct inode *inode, uint64_t chunk, uint32_t pages);
/* Has the request tried again once a chunk of its inode may have a wbuf. */
void store_stall(struct store *s, struct store_wait *wait, uint64_t chunk);
/* The request waits until another, in whose list it is put, has ended: that one then has it tried (store_due()). */
void store_follow(struct store *s, struct store_wait *wait, struct store_waits *order);
/* The request waits for the end of its region's cut. */
void store_hold(struct store *s, struct store_wait *wait);
/* The request waits for nothing any more. */
void store_unwait(struct store *s, struct store_wait *wait);
/* The next turn tries the request. */
void store_due(struct store *s, struct store_wait *wait);
/* Prefetches a whole chunk into an entry that no READ needs now. False: none can be spared. */
bool store_ahead(struct store *s, struct inode *inode, uint64_t chunk);
/* COLLECTING -> SENDING. Does nothing while an earlier version of the chunk is in flight: its
 * acknowledgement seals this wbuf. */
void store_seal(struct store *s, struct wbuf *wbuf);
/* Seals as many of the oldest wbufs as keep the writers busy and will make room. */
void store_seal_oldest(struct store *s);

/* Adds to a counter of the inode and of the mount. */
#define store_count(s, inode, name, n) stats_add((inode)->stats, (s)->stats, name, n)

#endif
