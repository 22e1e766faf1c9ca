/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * repair_job.h - the conversations with nodes behind repair.h: run in jobs' fibers, and touch nothing but the job and,
 * reading, the chunk index of the region.
 */
#ifndef GVMFS_REPAIR_JOB_H
#define GVMFS_REPAIR_JOB_H

#include "jobs.h"
#include "state/inode.h"
#include "state/worker.h"

#define REPAIR_BATCH 256u /* chunks of a job */

/* What all of them need. By the time that one ends, the region may be closed, and its inode another's. */
struct repair_job {
	struct job job; /* first */
	struct worker *w;
	unsigned nr;
	uint64_t epoch;
	uint64_t serial; /* of the repair */
	struct gvm_id region;
	const struct options *opts;
	_Atomic uint64_t *index;
	struct record_node to;
};

/* A node is made to serve us, whoever it served before, and lists what it has: `differs` is what it lacks. */
struct repair_scan {
	struct repair_job base; /* first */
	struct record_owner self;
	bool unlinked;
	struct record rec;
	uint64_t *differs;	     /* a bit a chunk, of the slots that are wanted: repair_map() */
	bool wanted[RECORD_SLOTS];   /* slots of the node that are outside of their views */
	uint32_t left[RECORD_SLOTS]; /* bits set in each */
	bool strange[RECORD_SLOTS];  /* FILL_STRANGE: fill.h */
};

/* Chunks of a slot are copied from one of its members. */
struct repair_copy {
	struct repair_job base; /* first */
	struct record_node from[RECORD_REPLICAS];
	unsigned sources, slot;
	bool urgent; /* writes wait for them: the rate does not matter */
	bool mends;  /* the node has this version of the one chunk, and its copy is rotten */
	uint64_t version; /* which; and what is known of it, if it is sealed: */
	struct seal_known known;
	unsigned count, next, ended;
	uint64_t bytes; /* that were copied, as they are stored */
	uint64_t chunk[REPAIR_BATCH];
};

void repair_job_scan(struct job *job, struct pool *pool);
/* The result is that of the first that failed: then any of them may be missing. */
void repair_job_copy(struct job *job, struct pool *pool);

/* A bit for each chunk that a region can have: takes memory where bits are set. NULL: no room. */
uint64_t *repair_map(void);
void repair_unmap(uint64_t *map);

#endif
