/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_job.h - the conversations with nodes behind names.h: run in job threads, and block. */
#ifndef GVMFS_NAMES_JOB_H
#define GVMFS_NAMES_JOB_H

#include "jobs.h"
#include "names.h"

/* A record as the nodes hold it. */
struct name_entry {
	struct gvm_id key;
	uint64_t version;
	uint32_t bytes;
	uint8_t *record; /* malloc()ed */
};

struct names_job {
	struct job job;
	struct worker *w;
	names_done_fn *done;
	void *arg;
	bool once;
	bool news; /* an answer has come */
	/* saving */
	struct inode *inode;
	struct gvm_id key;
	uint64_t version; /* in: to try first; out: that it got */
	size_t record_bytes;
	uint8_t record[RECORD_BYTES_MAX];
	/* reading: the newest of each, sorted by key */
	uint64_t gone_count; /* of the inodes, when it began */
	struct name_entry *entries;
	size_t count, room;
	size_t bytes; /* that all of it takes, about */
};

void names_job_save(struct job *job, struct pool *pool);
void names_job_load(struct job *job, struct pool *pool);
/* What was read of a key; NULL: nothing. */
const struct name_entry *names_job_find(const struct names_job *nj, const struct gvm_id *key);

#endif
