/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_job.h - the conversations with nodes behind names.h: run in fibers (jobs.h). */
#ifndef GVMFS_NAMES_JOB_H
#define GVMFS_NAMES_JOB_H

#include "jobs.h"
#include "names_talk.h"

struct worker;
struct inode;

struct names_save_job {
	struct job job;
	struct worker *w;
	void (*done)(struct worker *w, int result, void *arg);
	void *arg;
	struct inode *inode;
	bool creates; /* the first save of a new name */
	bool gives_way; /* -ESTALE if another host changed the record */
	unsigned rekeyed;
	struct gvm_name_put_req put; /* version: in: to try first; out: that it got */
	uint64_t clock;		     /* out: the highest number heard of */
	size_t record_bytes;	     /* 0: a tombstone */
	uint8_t record[RECORD_BYTES_MAX];
};

/* Result: 0, or what names_votes_result() says of a save that cannot be. */
void names_job_save(struct job *job, struct pool *pool);

struct names_load_job {
	struct job job;
	struct worker *w;
	bool once;
	uint64_t begun_ns;
	uint64_t gone_count; /* of the inodes, when it began */
	struct names_known *known; /* the job's until it has finished */
	bool all_answered;
	uint64_t clock; /* out: the highest number heard of */
	uint64_t table; /* out: that new names belong in, as far as can be told; else 0 */
	struct names_due due;
};

/* Has the nodes tell what has changed, and gives each what it lacks. */
void names_job_load(struct job *job, struct pool *pool);

struct names_round_job {
	struct job job;
	struct worker *w;
	uint64_t upto;
};

void names_job_round(struct job *job, struct pool *pool);

#endif
