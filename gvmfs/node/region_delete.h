/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_delete.h - the conversations by which a region, or parts of it, are deleted on its nodes. In jobs' fibers, as those of
 * region_jobs.h. */
#ifndef GVMFS_REGION_DELETE_H
#define GVMFS_REGION_DELETE_H

#include "region_job.h"

#define REGION_UNDO_NS 1000000000ull /* to undo a create that failed, while its caller waits */

void region_job_delete(struct job *job, struct pool *pool);
/* The same within a time, for what is just being made. 0; -EAGAIN: a node keeps its part that may be
 * deleted later: it does not answer, or has a writer. */
int region_delete_all(struct region_job *rj, struct pool *pool, uint64_t within_ns);
/* Deletes the parts on nodes first..first+count-1, all at once; done[i]: 0 or a negative errno. */
void region_parts_delete(struct pool *pool, const struct region_job *rj, unsigned first, unsigned count, uint64_t within_ns,
			 int *done);

#endif
