/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace_job.h - the conversations with nodes behind replace.h: run in jobs' fibers, and touch nothing but the job.
 */
#ifndef GVMFS_REPLACE_JOB_H
#define GVMFS_REPLACE_JOB_H

#include "balance.h"
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
	struct balance_pick pick; /* of a region: nodes between which the part moves, if it is good yet; none: any may do */
	bool healthy;	/* in: they have what they should: no place in another's rack is good enough */
	bool dropped[RECORD_NODES_MAX]; /* out: nodes without a slot that have nothing of the region any more */
	bool member[RECORD_NODES_MAX];	/* in, of the second step: nodes that are asked whether we are the writer yet */
	unsigned nodes_before;		/* those from here on were added */
	struct record_slot slots[RECORD_SLOTS]; /* out: as they are to be */
	unsigned rack[RECORD_NODES_MAX]; /* of each node: pool_rack() */
	bool racks_shared;  /* out: a copy will be in another's rack: there was no other choice */
	unsigned found;	    /* out: so many replicas have another node there */
	bool ready[RECORD_NODES_MAX];	/* out of the second step: the node has the room */
	bool refuses[RECORD_NODES_MAX]; /* or has not */
	bool raises; /* out: a node that had slots was asked to promise more, whatever came of it */
};

void replace_job_choose(struct job *job, struct pool *pool);
void replace_job_make(struct job *job, struct pool *pool);
/* The second step where the nodes are ready. */
void replace_job_members(struct job *job, struct pool *pool);
/* By itself: nodes need not promise more than what they have, and are to have by the record. */
void replace_job_trim(struct job *job, struct pool *pool);

#endif
