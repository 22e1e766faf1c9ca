/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace_job.h - the conversations with nodes behind replace.h: run in jobs' fibers, and touch nothing but the job.
 */
#ifndef GVMFS_REPLACE_JOB_H
#define GVMFS_REPLACE_JOB_H

#include "jobs.h"
#include "replicas.h"
#include "state/record.h"

/* Both steps have the same job. Nodes that nothing needs any more are cleared; for replicas that need a node, nodes are
 * chosen, and then made. The job's result is -EKEYREVOKED if a node has the region under a higher epoch: nothing is
 * changed there. The second step succeeds only if each member says that ours is the highest. */
struct replace_job {
	struct job job; /* first */
	const struct options *opts;
	struct record_owner self;
	bool unlinked;
	uint64_t epoch;
	uint64_t view;		/* that nodes are told */
	bool away[RECORD_NODES_MAX];		    /* nodes that are not asked */
	struct gvm_id refused[REPLICA_REFUSED]; /* nor chosen */
	struct record rec;	/* with the chosen nodes behind its own, when the first step is done */
	uint8_t wanted[RECORD_SLOTS];	/* replicas that need another node, as bits */
	bool dropped[RECORD_NODES_MAX]; /* out: nodes without a slot that have nothing of the region any more */
	bool member[RECORD_NODES_MAX];	/* in, of the second step: nodes that are asked whether we are the writer yet */
	unsigned nodes_before;		/* those from here on were added */
	struct record_slot slots[RECORD_SLOTS]; /* out: as they are to be */
	unsigned rack[RECORD_NODES_MAX]; /* of each node: pool_rack() */
	bool racks_shared;  /* out: a copy will be in another's rack: there was no other choice */
	unsigned found;	    /* out: so many replicas have another node there */
	bool ready[RECORD_NODES_MAX];	/* out of the second step: the node has the room */
	bool refuses[RECORD_NODES_MAX]; /* or has not */
	uint64_t raised[RECORD_NODES_MAX]; /* out: chunks that a node which had some was asked to promise, whatever came of it */
};

void replace_job_choose(struct job *job, struct pool *pool);
void replace_job_make(struct job *job, struct pool *pool);
/* The second step where the nodes are ready. */
void replace_job_members(struct job *job, struct pool *pool);
/* After them, with the record as it is now: what was promised for copies that stay where they are is given back. */
bool replace_job_owes(const struct replace_job *rj);
void replace_job_lower(struct job *job, struct pool *pool);

#endif
