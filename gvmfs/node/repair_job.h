/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * repair_job.h - the conversations with nodes behind repair.h. In jobs' fibers; they touch only the job, and read the
 * region's chunk index.
 */
#ifndef GVMFS_REPAIR_JOB_H
#define GVMFS_REPAIR_JOB_H

#include "jobs.h"
#include "state/inode.h"
#include "state/worker_state.h"

#define REPAIR_BATCH 256u /* chunks in a job */

/* Common to all these jobs. By the time that one ends, the region may be detached, and its inode number reused. */
struct repair_job {
	struct job job; /* first */
	struct worker *w;
	unsigned nr;
	uint64_t epoch;
	uint64_t serial; /* of the repair */
	struct gvm_id region;
	const struct options *opts;
	bool sealed; /* the region */
	_Atomic uint64_t *index;
	struct record_node to;
};

/* Attaches to a node, whichever writer it had, and reads what it has: `differs` is what it lacks. */
struct repair_scan {
	struct repair_job base; /* first */
	struct record_owner self;
	bool unlinked;
	struct record rec;
	uint64_t *differs;	     /* out: a bit for each chunk, of the wanted slots: repair_map() */
	bool wanted[RECORD_SLOTS];   /* slots whose views lack the node's replica */
	uint32_t left[RECORD_SLOTS]; /* out: bits set in each slot */
	bool strange[RECORD_SLOTS];  /* out: a chunk is FILL_STRANGE: fill.h */
};

/* Copies chunks of a slot from one of its members to the node. */
struct repair_copy {
	struct repair_job base; /* first */
	struct record_node from[RECORD_PLACES]; /* the members, in the order in which they are asked */
	unsigned sources, slot;
	bool urgent; /* writes are held for these copies: the rate does not apply */
	bool alone;  /* no other job copies for this region meanwhile */
	bool mends;  /* the job has one chunk, of which the node's copy in this version is rotten: */
	uint64_t version;
	struct seal_known known; /* the chunk's entry, if it is sealed */
	unsigned count, next, ended;
	uint64_t bytes; /* out: bytes copied, encoded */
	unsigned pieced; /* out: chunks of which no source had all as it was stored, but each page was on one; and the last: */
	uint64_t pieced_chunk;
	uint64_t chunk[REPAIR_BATCH];
	bool missing[REPAIR_BATCH]; /* out: chunks that were not copied */
};

void repair_job_scan(struct job *job, struct pool *pool);
/*
 * A chunk that is rotten on one source is copied from another; or, if it is on all, from what is sound on each (gather.h). Chunks
 * that were not copied are in missing[]. Result: 0: some were copied, and the others cannot be had so; -EBADMSG: none can;
 * otherwise why the rest was given up.
 */
void repair_job_copy(struct job *job, struct pool *pool);

/* Front thread: counts and logs what was put together from several sources. */
void repair_job_tell(const struct repair_copy *job, struct inode *inode);

/* A bitmap with a bit for each chunk that a region can have; only pages with set bits take memory. NULL: no address
 * space left. */
uint64_t *repair_map(void);
void repair_unmap(uint64_t *map);

#endif
