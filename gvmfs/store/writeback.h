/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writeback.h - what the kernel wrote, from its WRITE requests to the nodes' acknowledgement.
 *
 * A written page goes into a slot of the journal (one slot a chunk gathers), and the WRITE is
 * answered: from then on it cannot be lost by a killed worker. A slot is sealed when it is full,
 * has waited WRITEBACK_AGE_NS, room runs short, or somebody syncs; a writer then sends it. With the
 * acknowledgement the index gets the new version and the slot is free. A chunk has at most one open
 * and one sealed slot; reads look there first (pager.h).
 *
 * When no slot is free, WRITEs wait (the kernel then throttles whoever dirties), READs do not.
 *
 * Front thread only.
 */
#ifndef GVMFS_WRITEBACK_H
#define GVMFS_WRITEBACK_H

#include "state/inode.h"
#include "state/journal.h"
#include "writer.h"

#define WRITEBACK_AGE_NS  20000000ull
#define WRITEBACK_BUCKETS 256u

struct worker;
struct write_io;

/* Waits until all that was written to an inode before is acknowledged. */
struct writeback_sync {
	void (*done)(struct worker *w, struct writeback_sync *sync, int error);
	struct inode *inode;
	uint64_t deadline_ns; /* 0: none */
	uint64_t until;
	struct writeback_sync *next;
};

struct slot_rt {
	struct flush flush;
	uint64_t order;	      /* of opening, over all slots */
	uint64_t opened_ns;
	uint64_t retry_at_ns; /* sealed, refused for want of space: to be sent again then */
	unsigned next;	      /* in its bucket, or on the free list: slot + 1 */
	struct gvm_conn *node; /* that it goes to */
};

struct writeback {
	struct flush_queue queue;
	struct writer writers[WRITERS_MAX];
	struct slot_rt rt[JOURNAL_SLOTS];
	unsigned buckets[WRITEBACK_BUCKETS]; /* slot + 1 */
	unsigned free_list;		     /* slot + 1 */
	unsigned free, sealed;		     /* how many */
	uint64_t order;
	struct write_io *stalled, **stalled_tail; /* wait for slots */
	bool look_again; /* at these: slots came free otherwise than by an acknowledgement */
	struct writeback_sync *syncs;
	unsigned next_writer;
};

/* Takes up what a predecessor left in the journal, and starts the writers. 0 or negative errno. */
int writeback_init(struct worker *w);

/* Serves a WRITE (data of `size` bytes in the worker's request buffer); replies now or later. */
void writeback_write(struct worker *w, fuse_req_t req, struct inode *inode, const void *data,
		     uint64_t off, size_t size);
/* Makes a range zero; calls `done` (from the loop, or at once) when that is in the journal. */
void writeback_zero(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		    void (*done)(struct worker *w, void *arg, int error), void *arg);

/* Where a written page's newest content is: NULL if it is not here. */
const uint8_t *writeback_page(struct worker *w, struct inode *inode, uint64_t chunk, unsigned page);
/* Which pages of a chunk are here (bit p: page p). */
uint32_t writeback_pages(struct worker *w, struct inode *inode, uint64_t chunk);
/* The first chunk at or after `chunk` of the inode that has a slot; ~0: none. */
uint64_t writeback_next_chunk(struct worker *w, struct inode *inode, uint64_t chunk);

/* sync->done comes later, never from within; with -ETIMEDOUT after deadline_ns, -EIO if the region
 * failed. */
void writeback_sync(struct worker *w, struct writeback_sync *sync, struct inode *inode);

/* Throws away what was written to chunks from `first` on and is not yet being sent. */
void writeback_drop(struct worker *w, struct inode *inode, uint64_t first);
/* The region failed: ends what waits for it. What was written and is in slots (inode->slots) is lost. */
void writeback_fail(struct worker *w, struct inode *inode);

/* Applies the writers' outcomes. */
void writeback_collect(struct worker *w);
/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: not. */
uint64_t writeback_tick(struct worker *w, uint64_t now_ns);
/* Gives a flush to the writers, from whichever store; it comes back by f->done(). */
void writeback_send(struct worker *w, struct flush *f);
/* Whether somebody waits for pages who should not wait for the writers to leave him a CPU. */
void writeback_yield(struct worker *w, bool yield);
/* Seals everything: before the worker ends. */
void writeback_seal_all(struct worker *w);

#endif
