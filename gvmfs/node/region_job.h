/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_job.h - the conversations with nodes behind region.h: run in job threads, block, and touch
 * nothing but the job (and, when attaching, the chunk index of the inode that is held for it).
 */
#ifndef GVMFS_REGION_JOB_H
#define GVMFS_REGION_JOB_H

#include "jobs.h"
#include "region.h"

struct region_job {
	struct job job;
	struct worker *w;
	struct inode *inode;
	region_done_fn *done;
	void *arg;
	struct record rec;	 /* a copy; created regions come back with nodes and slots */
	uint64_t epoch;		 /* create, attach: out; otherwise ours, 0 if not attached */
	uint64_t seen_epoch;	 /* stat: of the writer that attached last */
	uint64_t size_bytes;	 /* resize: the new size */
	uint64_t cut_version;	 /* of the zeros that were left behind before */
	uint64_t discard_version; /* shrink, out: of those that stay behind now; 0: nothing was thrown away */
	_Atomic uint64_t *index; /* create, attach: filled with what the nodes have */
	uint64_t *words;	 /* and the views of its slots, if they have several replicas; NULL: only looked at */
	bool away[RECORD_NODES_MAX]; /* attach: nodes that are left out, since others have what they had */
	uint64_t held_bytes;	 /* stat */
	uint8_t writer;		 /* stat: see owner_judge() */
	uint64_t lease_ms;	 /* attach, in vain: how long the writer, which is away, keeps it */
	const struct options *opts;
	struct record_owner self;
	bool unlinked;		 /* it has no name: the nodes remove it when its lease lapses */
	bool pass;		 /* attach: a lease is ours, or of a mount that is dead */
	bool take;		 /* also from a live writer: a person said so */
	bool force;		 /* though it is not known who has what was written last: a person said so */
	uint64_t forced[RECORD_SLOTS / 64]; /* slots of which that is so */
	bool asked[RECORD_NODES_MAX]; /* stat: which nodes have a slot, and were */
	bool quiet[RECORD_NODES_MAX]; /* and of these, which did not answer */
};

void region_job_attach(struct job *job, struct pool *pool);
/* Takes it by force and gives it up. */
void region_job_take(struct job *job, struct pool *pool);
void region_job_detach(struct job *job, struct pool *pool);
/* Makes it on the nodes and attaches. */
void region_job_create(struct job *job, struct pool *pool);
void region_job_resize(struct job *job, struct pool *pool);
void region_job_delete(struct job *job, struct pool *pool);
void region_job_stat(struct job *job, struct pool *pool);

#endif
