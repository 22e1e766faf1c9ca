/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_jobs.h - the conversations with nodes behind region.h. In jobs' fibers; they touch only the job (a struct
 * region_job) and, when attaching, the chunk index of the inode, which its caller holds.
 */
#ifndef GVMFS_REGION_JOBS_H
#define GVMFS_REGION_JOBS_H

#include "jobs.h"

void region_job_attach(struct job *job, struct pool *pool);
/* Attaches by force and detaches. */
void region_job_take(struct job *job, struct pool *pool);
void region_job_detach(struct job *job, struct pool *pool);
/* Creates it on the nodes and attaches. */
void region_job_create(struct job *job, struct pool *pool);
/* Asks whether all of its nodes are there: before it is made smaller. */
void region_job_reach(struct job *job, struct pool *pool);
void region_job_resize(struct job *job, struct pool *pool);
void region_job_trim(struct job *job, struct pool *pool);
void region_job_stat(struct job *job, struct pool *pool);

#endif
