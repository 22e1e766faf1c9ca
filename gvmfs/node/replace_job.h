/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace_job.h - the conversations with nodes behind replace.h. In jobs' fibers; they touch only the job.
 */
#ifndef GVMFS_REPLACE_JOB_H
#define GVMFS_REPLACE_JOB_H

#include "balance.h"
#include "jobs.h"
#include "replicas_state.h"
#include "state/record.h"

/* Both steps use the same job. The first (choose) deletes the parts of nodes without a slot, and chooses nodes for the
 * wanted replicas; the second (make) creates the region on these or raises their promise. Result: 0 or a negative
 * errno; -EKEYREVOKED: a node has the region under a higher epoch; nothing is changed there. The second step succeeds
 * only if no member knows a higher epoch than ours. */
struct replace_job {
	struct job job; /* first */
	const struct options *opts;
	struct record_owner self;
	bool unlinked;
	uint64_t epoch;
	uint64_t view;		/* the view that nodes are told: inode_view_told() */
	bool away[RECORD_NODES_MAX];		    /* nodes that are not asked */
	struct gvm_id refused[REPLICA_REFUSED]; /* nodes that are not chosen */
	struct record rec;	/* the first step adds the chosen nodes after the record's own */
	uint8_t wanted[RECORD_SLOTS];	/* replicas that need another node, as bits */
	struct balance_pick pick; /* balance.h's move, checked once more by the first step; all zero: any node may do */
	bool healthy;	/* in: the wanted replicas have their data: they do not move into a rack with another copy */
	bool dropped[RECORD_NODES_MAX]; /* out: nodes without a slot that have nothing of the region any more */
	bool member[RECORD_NODES_MAX];	/* in, second step: nodes to ask whether we are still the writer */
	unsigned nodes_before;		/* entries of rec.nodes[] from here on were added */
	struct record_slot slots[RECORD_SLOTS]; /* out: the new slots */
	unsigned rack[RECORD_NODES_MAX]; /* of each node: pool_rack() */
	bool racks_shared;  /* out: a copy had no choice but a rack with another copy */
	unsigned found;	    /* out: how many replicas got another node in `slots` */
	bool ready[RECORD_NODES_MAX];	/* out, second step: the node has the room */
	bool refuses[RECORD_NODES_MAX]; /* out, second step: it does not */
	bool tells_own; /* replace_job_tell(): each node of its own slots only */
	bool told[RECORD_NODES_MAX]; /* out, replace_job_tell(): nodes that know */
};

void replace_job_choose(struct job *job, struct pool *pool);
void replace_job_make(struct job *job, struct pool *pool);
/* The second step if the nodes are ready: asks only the members. */
void replace_job_members(struct job *job, struct pool *pool);
/* A job of its own: tells the nodes of a region with one copy which of its slots they have by the record (moved.h).
 * Result: 0; or an error, as where a node that has slots is away. */
void replace_job_tell(struct job *job, struct pool *pool);
/* A job of its own: has each node forget what it has of slots that are not its own, and lowers its promise to what it has, and has
 * to have by the record. One that is away keeps no other from that. Result as that of replace_job_tell(). */
void replace_job_trim(struct job *job, struct pool *pool);

#endif
