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
	bool gives_way; /* fails with -ESTALE if another host changed the record */
	unsigned rekeyed; /* how often it got a new id */
	struct gvm_name_put_req put; /* put.version: in: the first to try; out: the last tried */
	uint64_t clock;		     /* out: the highest version or birth seen */
	size_t record_bytes;	     /* 0: a tombstone */
	uint8_t record[RECORD_BYTES_MAX];
};

/* Result: 0, or an error of names_votes_result(). */
void names_job_save(struct job *job, struct pool *pool);

struct names_load_job {
	struct job job;
	struct worker *w;
	bool once;
	uint64_t begun_ns;
	uint64_t gone_count; /* inodes' gone_count when it began */
	struct names_known *known; /* belongs to the job until that has finished */
	bool all_answered;
	uint64_t clock; /* out: the highest version or birth seen */
	uint64_t table; /* out: the table for new names; 0: it cannot be told */
	struct names_due due;
};

/* Reads from the nodes what has changed, and gives each node what it lacks. */
void names_job_load(struct job *job, struct pool *pool);

struct names_round_job {
	struct job job;
	struct worker *w;
	uint64_t upto;
};

void names_job_round(struct job *job, struct pool *pool);

#endif
