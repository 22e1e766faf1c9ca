/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h - cache and write-back of regions that the kernel's page cache serves: what READ and WRITE go through.
 *
 * The kernel's page cache is the store that counts. What it wrote and no node has acknowledged is in the journal's
 * slots (slots.h); what was fetched, for a moment, in a few decoded chunks (cache.h). READs, WRITEs and zeros
 * (fuse/read.h, fuse/write.h) are requests that wait here for pages, for entries, or for slots; fsyncs, for slots
 * to become FREE. When no slot is free, WRITEs wait (the kernel then throttles whoever dirties), READs do not.
 *
 * One turn. Each event only changes what is known, and notes what is to be looked at; store_turn() then decides
 * until nothing changes any more. Nothing that is decided is called by anything else that is being decided, and a
 * request's end, which comes in a turn, may cause events: the turn sees them.
 *
 * Staleness. An entry's valid pages are always of the index's version: a WRITE clears the bits of its pages, and
 * marks them in a fetch under way as stale; a fetch that begins while pages are unacknowledged counts these as
 * stale from the start. So an answer which left the node before a WRITE was acknowledged does not bring back what
 * that replaced.
 *
 * Where another changes the region without our knowing, another host or the client of the fast path, no READ is
 * answered from a GET that was sent before it came: what its caller knows to be written is there. Of two chunks
 * one may grow old for other READs before the second is here, so each READ keeps what it got.
 *
 * Front thread only.
 */
#ifndef GVMFS_STORE_H
#define GVMFS_STORE_H

#include "cache.h"
#include "slots.h"

#define STORE_AGE_NS   20000000ull /* a slot is sent when it has collected for so long */
#define STORE_RETRY_NS 1000000000ull
#ifndef STORE_SEALED_ENOUGH
#define STORE_SEALED_ENOUGH 32u /* keep the writers busy: beyond it, collect. A share of it for each node */
#endif

struct store_env;

enum store_wait_state {
	WAIT_NOT,     /* it is new, or done, or just being tried */
	WAIT_DUE,     /* the turn is to try it: in store->due; perhaps still linked */
	WAIT_PAGES,   /* linked to entries */
	WAIT_ENTRIES, /* none is to be had: in a lane of store->starved */
	WAIT_SLOT,    /* none is to be had: in a lane of store->stalled */
};

/* What every request begins with. */
struct store_wait {
	/* Tries it (again): ends it, or has it wait. From a turn only. */
	void (*go)(struct store *s, struct store_wait *wait);
	struct inode *inode;
	enum store_wait_state state;
	int error;	       /* that it shall end with */
	TAILQ_ENTRY(store_wait) in; /* a list, by its state */
	struct store_lane *lane; /* WAIT_ENTRIES, WAIT_SLOT */
	struct cache_link on[2];
	const void *nodes[2];  /* WAIT_ENTRIES, WAIT_SLOT: that it is for */
	unsigned count;	       /* WAIT_ENTRIES: how many it needs */
	uint64_t chunk;	       /* WAIT_SLOT: that it is for */
	uint64_t deadline_ns;  /* WAIT_SLOT: 0: none */
};
TAILQ_HEAD(store_waits, store_wait);

/*
 * Those that wait for a share of the same inode and nodes, in their order: what the first may not have, none of them
 * may. So however many wait for a node that is dead, only one is looked at each time.
 */
struct store_lane {
	const struct inode *inode;
	const void *nodes[2];
	struct store_waits waits; /* never empty */
	TAILQ_ENTRY(store_lane) in;
};
TAILQ_HEAD(store_lanes, store_lane);

/* An fsync: until all that was written to an inode before is acknowledged. Embedded. */
struct store_sync {
	/* From a turn: 0; -EIO: the region failed; -ETIMEDOUT, after deadline_ns. */
	void (*done)(struct store *s, struct store_sync *sync, int error);
	struct inode *inode;
	uint64_t deadline_ns; /* 0: none */
	uint64_t until;	      /* order numbers of slots up to here are waited for */
	bool sealed;	      /* these are being sent */
	TAILQ_ENTRY(store_sync) in;
};

struct store {
	const struct store_env *env;
	void *owner; /* the environment's */
	struct stats *stats; /* of the mount */
	struct slots slots;
	struct cache cache;
	uint64_t events; /* READs that came, and GETs that were sent */
	uint8_t *scratch; /* of the READ that is being tried: STORE_SCRATCH pages */

	/* What has happened since the last turn. */
	bool again;   /* something */
	bool turning; /* in a turn */
	bool slots_news, entries_news; /* what waits for slots, or for entries, is to be looked at */
	bool seal_all, sweep; /* all is to be sent; entries of closed inodes are to go */
	uint64_t timer_ns; /* what is due by then is to be done; 0: nothing */
	STAILQ_HEAD(, cache_entry) ended; /* GETs that have ended */
	struct flush *flushed, **flushed_tail; /* writers' outcomes */

	struct store_waits due;
	struct store_lanes starved, stalled;
	TAILQ_HEAD(, store_sync) syncs;
};

#define STORE_SCRATCH (GVM_CHUNK_PAGES + 1)

/*
 * ---- The beginning, the turn, the clock
 */

/* slots.{disk,data,mark32}, env, owner and stats are filled in, the rest is zero. data: of CACHE_ENTRIES chunks;
 * scratch: STORE_SCRATCH pages. Takes over the journal's slots: a turn is due. */
void store_begin(struct store *s, uint8_t *data, uint8_t *scratch);
/* Does what there is to do after events, until nothing changes any more. From within a turn it does nothing. */
void store_turn(struct store *s);
/* Has a turn, for what is due, too; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: not. */
uint64_t store_tick(struct store *s, uint64_t now_ns);

/*
 * ---- Events: a turn has to follow each, or some of them. (READ and WRITE: fuse/read.h, fuse/write.h.)
 */

/* `sync` has done and deadline_ns. */
void store_sync(struct store *s, struct store_sync *sync, struct inode *inode);
/* The request's caller is being killed: it ends with -EINTR. What is in slots already stays written. */
void store_cancel(struct store *s, struct store_wait *wait);
/* A GET has brought pages into e->data; has spoilt what is there; has ended: 0 or a negative errno. */
void store_piece(struct cache_entry *e, uint32_t pages);
void store_spoilt(struct cache_entry *e);
void store_fetched(struct cache_entry *e, int error);
/* A writer has handed a slot's flush back, with its outcome. */
void store_flushed(struct store *s, struct flush *f);
/* Pages of a chunk were written elsewhere than here, by the fast path. */
void store_invalidate(struct store *s, struct inode *inode, uint64_t chunk, uint32_t pages);
/* What is cached of a region is out of date, or not wanted any more: it is closed, detached, shrunk; another host
 * may have written to it. */
void store_forget(struct store *s, struct inode *inode);
/* Throws away what was written to chunks from `first` on and is not yet being sent: they are cut off, or the
 * region is not wanted any more. */
void store_drop(struct store *s, struct inode *inode, uint64_t first);
/* The region failed, which disk()->failed says: what waits for it ends, and what was written is lost. */
void store_fail(struct store *s, struct inode *inode);
/* All that was written is to be sent: the mount ends. */
void store_seal_all(struct store *s);

/*
 * ---- For requests, in a turn
 */

/* Whether somebody else than the kernel changes the region and does not tell us. */
bool store_is_unseen(struct store *s, const struct inode *inode);
/* Has the request tried again when pages of one chunk, or two (count), are there or failed. Either all are asked
 * for at once or, without entries, none is and it waits for some. */
void store_want(struct store *s, struct store_wait *wait, unsigned count, const uint64_t chunk[2],
		const uint32_t pages[2], unsigned want_page);
/* Has it tried again when a chunk of its inode may have a slot. */
void store_stall(struct store *s, struct store_wait *wait, uint64_t chunk);
/* It waits for nothing. */
void store_unwait(struct store *s, struct store_wait *wait);
/* It is to be tried in the next turn. */
void store_due(struct store *s, struct store_wait *wait);
/* Fetches a whole chunk ahead of its reader, into an entry that nobody needs now. False: there is none to spare. */
bool store_ahead(struct store *s, struct inode *inode, uint64_t chunk);
/* COLLECTING -> SENDING. Nothing, while the chunk's last version is still on its way: this one's turn comes
 * with that acknowledgement. */
void store_seal(struct store *s, struct slot *slot);
/* Seals so many of the oldest that writers have work and room comes. */
void store_seal_oldest(struct store *s);

/* Adds to a counter of the inode and of the mount. */
#define store_count(s, inode, name, n) stats_add((inode)->stats, (s)->stats, name, n)

#endif
