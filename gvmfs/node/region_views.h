/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_views.h - attaching a region whose slots have several replicas: which of them are believed, and what the
 * region's index is. Runs in a job's fiber (region_job.h), after the nodes refuse whoever wrote before.
 *
 * Nodes that do not answer, or that lost the region, are left out (rj->away), as long as each slot's last view is
 * known (view_choose()), or by force (rj->force): then what is left is taken, and may be old. The index has for each
 * chunk the newest version that a member has: a write that was never acknowledged may have reached some of them only.
 * Those that have an older one are given the newest before the region is attached, so that all members have all that
 * anybody may have read.
 */
#ifndef GVMFS_REGION_VIEWS_H
#define GVMFS_REGION_VIEWS_H

#include "region_job.h"

/* Whether a node that answered `error` may be left out; then it is. */
bool region_node_leave_out(struct region_job *rj, unsigned node, int error);
/* Reads the views and chooses the members of each slot: rj->words, if there are any. 0; or -EIO, with a line in the log. */
int region_views_choose(struct region_job *rj, struct pool *pool);

/* What the replicas have of each chunk, while the index is being read. */
struct region_versions {
	uint64_t chunks;
	uint64_t *of[RECORD_REPLICAS]; /* by chunk, as in the index */
};

/* 0 or -ENOMEM. */
int region_versions_init(struct region_versions *v, const struct record *rec, uint64_t chunks);
void region_versions_deinit(struct region_versions *v);
/* A node lists a version of a chunk. */
void region_versions_add(struct region_versions *v, struct region_job *rj, unsigned node, uint64_t chunk,
			 uint64_t entry);
/* Fills the index, and gives the members what they lack. 0 or a negative errno. */
int region_versions_settle(struct region_versions *v, struct region_job *rj, struct pool *pool);

#endif
